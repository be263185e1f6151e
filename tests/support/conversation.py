"""Feeds answers to a protocol's operations and keeps what they asked for."""

from __future__ import annotations

import json
from typing import Any

from handoff.errors import TargetError
from hooks.protocols.shared import Aside, Shared
from hooks.protocols.wire import Request, Response


def answer(document: Any = None, status: int = 200, *, body: bytes | None = None, **headers: str) -> Response:
    """Return an answer; keyword names become header names with dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("content-type", "application/json" if body is None else "text/html")
    return Response(status, named, json.dumps(document).encode() if body is None else body)


class Script:
    """Answers requests in the given order; an exception in the script is thrown into the operation.

    :ivar requests: what was asked, in order. :ivar asides: how often work was done aside.
    """

    def __init__(self, *answers: Response | Exception) -> None:
        self.requests: list[Request] = []
        self.asides = 0
        self._answers = list(answers)

    def run(self, *operations: Any) -> Any:
        """Drive operations to their ends, one after the other, and return the last result.

        Every answer of the script must be used.
        """
        result = [self._drive(operation) for operation in operations][-1]
        if self._answers:
            raise AssertionError(f"{len(self._answers)} answers were not asked for; asked: {self.asked}")
        return result

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Method and path of every request."""
        return [(request.method, request.path) for request in self.requests]

    def _drive(self, operation: Any) -> Any:
        reply: Any = None
        try:
            while True:
                wanted = operation.throw(reply) if isinstance(reply, Exception) else operation.send(reply)
                reply = self._reply(wanted)
        except StopIteration as stop:
            return stop.value

    def _reply(self, wanted: Any) -> Any:
        if isinstance(wanted, Shared):
            return self._drive(wanted.start())
        return self._outcome(wanted) if isinstance(wanted, Aside) else self._next(wanted)

    def _outcome(self, aside: Aside) -> Any:
        self.asides += 1
        try:
            return aside.work()
        except TargetError as error:
            return error

    def _next(self, request: Request) -> Response | Exception:
        self.requests.append(request)
        if not self._answers:
            raise AssertionError(f"no answer left for {request.method} {request.path}")
        return self._answers.pop(0)
