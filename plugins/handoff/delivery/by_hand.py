"""One contact and one occasion given by hand: "test it with your own address first"."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import batches, occasions, registrations, rule_versions
from handoff.occasion import BY_HAND, Occasion
from handoff.registration import Registration, Roster
from handoff.rule import Rule
from handoff.source import Listing

SOURCE = ACCOUNT = BY_HAND


async def hand_over(
    engine: AsyncEngine,
    rule: Rule,
    *,
    key: str,
    email: str,
    first_name: str,
    last_name: str,
    language: str,
    title: str,
    start: datetime,
    end: datetime,
) -> None:
    """Let one contact be handed over now, whatever the rule's audience and moment; once per ``key``.

    :param start: aware, like ``end``: the occasion's anchors as templates show them.
    """
    now = datetime.now(UTC)
    occasion = Occasion(
        source=SOURCE, account=ACCOUNT, key=key, title=title, anchors={"start": start, "end": end}
    )  # fmt: skip
    entry = Registration(
        ref="by-hand", email=email, registered_at=now, first_name=first_name, last_name=last_name, language=language
    )
    async with engine.begin() as connection:
        if not await occasions.hear(connection, occasion):
            return
        known = await occasions.take_over(connection, occasion)
        if known is None:
            return
        await registrations.store(connection, known.id, Roster(now, now, (entry,)))
        version = await rule_versions.pin(connection, rule)
        await batches.plan(connection, rule_id=rule.id, rule_version=version, occasion_id=known.id, due_at=now)


class ByHand:
    """The source of what was given by hand: it does not change any more."""

    async def occasions(self, since: datetime) -> Listing:
        """List nothing: the ledger has it all."""
        return Listing(())

    async def occasion(self, known: Occasion) -> Occasion | None:
        """Return the occasion as given."""
        return known

    async def roster(self, known: Occasion, since: datetime | None) -> Roster:
        """Return no news."""
        now = datetime.now(UTC)
        return Roster(now, now, ())

    async def close(self) -> None:
        """Hold nothing open."""
