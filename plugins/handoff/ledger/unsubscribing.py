"""What a person's click on *unsubscribe* does to the ledger."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.consent import Subject
from handoff.ledger import consents, suppressions
from handoff.ledger.consents import Entry


async def unsubscribe(connection: AsyncConnection, contact_key: str, purpose: str, source: str) -> bool:
    """Let a contact get no more survey and no more advertising by e-mail; ``False`` when that was so already.

    The whole channel is suppressed, since nobody who has had enough of one kind asks for the other; the log
    says which one it was: a consent withdrawn, or an objection where there was none.

    :param connection: in a transaction that is committed afterwards.
    :param source: how it was said, e.g. ``one-click``.
    """
    subject = Subject(contact_key, "email", purpose)
    # First, because whoever does the same at this moment waits here and then finds it done.
    news = await suppressions.add(connection, contact_key, subject.channel, "unsubscribed", source)
    said = (await consents.standings(connection, [subject]))[subject].said
    if said in {"withdrawn", "objected"}:
        return news
    what = "objected" if said is None else "withdrawn"
    await consents.add(connection, [Entry(subject, what, datetime.now(UTC), source=source)])
    return True
