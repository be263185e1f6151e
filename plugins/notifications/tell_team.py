"""Tells the team what it does not know yet: one message for each cause."""

from __future__ import annotations

from airflow.sdk import BaseNotifier
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import notices
from handoff.times.timing import Language
from notifications.handoff_notifier import HandoffNotifier, NotTold, pass_on, plain
from notifications.wording import worded


async def tell_team(engine: AsyncEngine, notifier: BaseNotifier, language: Language | None = None) -> int:
    """Send one message for each open notice that nobody has been told, and remember that it was sent.

    Both are one transaction: a crash between them lets the message be sent again rather than never.

    :param notifier: its templates may use ``notice.kind``, ``notice.subject`` and ``notice.text``.
    :param language: of the messages; default: the notifier's own, else German.
    :returns: how many messages were sent.
    :raises NotTold: when some could not be sent; those that were are remembered.
    """
    speaks = language or (notifier.language if isinstance(notifier, HandoffNotifier) else "de")
    told, failures = list[int](), list[str]()
    async with engine.begin() as connection:
        for notice in await notices.untold(connection):
            try:
                await pass_on(notifier, worded(notice, speaks), {})
            except Exception as error:
                # Notifiers are anybody's, and one cause must not silence the others.
                failures.append(plain(error))
            else:
                told.append(notice.id)
        await notices.told(connection, told)
    if failures:
        raise NotTold(f"{len(failures)} of {len(failures) + len(told)} notices could not be sent: {failures[0]}")
    return len(told)
