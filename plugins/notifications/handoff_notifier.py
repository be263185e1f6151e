"""Tells the team: by e-mail through an Airflow connection, and through whatever other notifiers it is given."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from typing import Any, cast

from airflow.sdk import BaseNotifier, Connection, Context

from handoff.errors import HandoffError
from handoff.times.timing import Language
from hooks.accounts import connection_of, connection_of_sync
from notifications.post import Post
from notifications.wording import Message, of_callback

CONN_ID, TO, LANGUAGE = "HANDOFF_NOTIFY_CONN_ID", "HANDOFF_NOTIFY_TO", "HANDOFF_NOTIFY_LANGUAGE"
DEFAULT_CONN_ID = "smtp_default"


class NotTold(HandoffError):
    """No channel took the message; the notice stays to be told."""


class HandoffNotifier(BaseNotifier):
    """One message to the team: a callback for any DAG or task, and what the sweep tells notices with.

    :param to: addresses for the e-mail; none: no e-mail is sent.
    :param conn_id: connection of type ``smtp`` (see docs/accounts.md).
    :param subject: template; empty: said by the notice or the callback, in ``language``.
    :param text: template; empty: the same. Both may use ``notice.kind``, ``notice.subject``, ``notice.text``.
    :param also: further notifiers that get the same; their templates may use ``notice`` too.
    """

    template_fields: Sequence[str] = ("to", "conn_id", "subject", "text")

    def __init__(
        self,
        *,
        to: str | Sequence[str] = (),
        conn_id: str = DEFAULT_CONN_ID,
        subject: str = "",
        text: str = "",
        language: Language = "de",
        also: Sequence[BaseNotifier] = (),
        context: Context | None = None,
    ) -> None:
        super().__init__(context)
        self.to, self.conn_id, self.subject, self.text = to, conn_id, subject, text
        self.language: Language = language
        self.also = also

    @classmethod
    def from_environment(cls) -> HandoffNotifier | None:
        """Return the notifier that the environment names, ``None`` when it names nobody to be told.

        :raises NotTold: when the language it names is none of ours.
        """
        to = os.environ.get(TO, "").strip()
        language = os.environ.get(LANGUAGE, "").strip() or "de"
        if language not in {"de", "en"}:
            raise NotTold(f"{LANGUAGE} is {language!r}; it must be de or en")
        conn_id = os.environ.get(CONN_ID, "").strip() or DEFAULT_CONN_ID
        return cls(to=to, conn_id=conn_id, language="en" if language == "en" else "de") if to else None

    def notify(self, context: Context) -> None:
        """Send, and wait for it. :raises NotTold: no channel took it."""
        # Read by the caller's thread, because Airflow answers one at a time and another loop could wait for ever.
        reading = Future[Connection]()
        if self._recipients():
            try:
                reading.set_result(connection_of_sync(self.conn_id))
            except Exception as error:
                # As of any channel that fails: the others are still there.
                reading.set_exception(error)
        # A thread of its own, because the caller may be in an event loop.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, self._send(context, lambda: asyncio.wrap_future(reading))).result()

    async def async_notify(self, context: Context) -> None:
        """Send. :raises NotTold: no channel took it."""
        await self._send(context, lambda: connection_of(self.conn_id))

    async def _send(self, context: Context, connection: Callable[[], Awaitable[Connection]]) -> None:
        message = self._message(context)
        sending = [pass_on(other, message, cast("Mapping[str, Any]", context)) for other in self.also]
        if self._recipients():
            sending.append(self._mail(message, connection))
        outcomes = await asyncio.gather(*sending, return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for failure in failures:
            self.log.error("a channel did not take the message: %s", plain(failure))
        if len(failures) == len(sending):
            raise NotTold("; ".join(map(plain, failures)) or "nobody to be told: give `to` or `also`")

    async def _mail(self, message: Message, connection: Callable[[], Awaitable[Connection]]) -> None:
        await Post(self.conn_id, await connection()).send(message, self._recipients())

    def _recipients(self) -> list[str]:
        given = self.to.split(",") if isinstance(self.to, str) else self.to
        return [address.strip() for address in given if address.strip()]

    def _message(self, context: Context) -> Message:
        known: Any = context
        said = known.get("notice") or of_callback(
            getattr(known.get("dag"), "dag_id", ""),
            known.get("run_id") or "",
            getattr(known.get("task_instance"), "task_id", ""),
            self.language,
        )
        return Message(said.kind, self.subject or said.subject, self.text or said.text)


async def pass_on(notifier: BaseNotifier, message: Message, context: Mapping[str, Any]) -> None:
    """Let a notifier send the message; it is copied, because rendering changes its templates for good."""
    notifier, given = copy(notifier), dict(context) | {"notice": message}
    if type(notifier).async_notify is BaseNotifier.async_notify:
        await asyncio.to_thread(notifier, given)
    else:
        notifier.context = cast("Context", given)
        await notifier


def plain(failure: BaseException) -> str:
    """Return words without contact data: those of others may quote an address."""
    return str(failure) if isinstance(failure, HandoffError) else type(failure).__name__
