"""How a vendor's protocol is written once, without I/O.

An operation is a generator: it yields a :class:`Request`, is sent the :class:`Response`, and
returns its result. Transports (see ``hooks.transport``) drive it over requests or aiohttp.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

Result = TypeVar("Result")

MOST_BYTES = 10 * 1024**2
"""Of an answer, unless its request says otherwise."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, relative to the connection's base URL.

    :param operation: what it does, in the field's words; used in errors, so no contact data.
    :param changes: ``True`` when the request may change state at the vendor: after it has left,
        a missing or broken answer means that the outcome is unknown.
    :param json: body sent as JSON; ``form``: body sent form-urlencoded. At most one of both.
    :param most_bytes: a larger answer is not read.
    :param timeout: seconds for the whole answer, where that is more than the account's own.
    """

    method: str
    path: str
    operation: str
    changes: bool
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    most_bytes: int = MOST_BYTES
    timeout: float = 0.0


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer. Header names are lower case.

    :param took: seconds since the request left, the waiting for its turn not counted.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    took: float = 0.0

    def json(self) -> Any:
        """Decode the body.

        :raises ValueError: when it is empty, HTML or otherwise not JSON.
        """
        return json.loads(self.body, object_hook=_as_it_is)


def _as_it_is(document: dict[str, Any]) -> dict[str, Any]:
    """Let other threads run: without a call of Python code, a large document is decoded in one go before they do."""
    return document


Operation = Generator[Request, Response, Result]
"""A vendor operation: ``yield Request`` gives back its ``Response``; ``return`` gives the result."""
