"""Contacts and an occasion given by hand: "test it with your own address first"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.ledger import batches, occasions, registrations, rule_versions
from handoff.ledger.bells import ring
from handoff.occasion import BY_HAND, Occasion
from handoff.registration import Registration, Roster
from handoff.rules.rule import Rule
from handoff.source import Listing

SOURCE = ACCOUNT = BY_HAND


async def hand_over(
    engine: AsyncEngine,
    rule: Rule,
    *,
    key: str,
    people: Sequence[Contact],
    title: str,
    anchors: Mapping[str, datetime] | None = None,
) -> bool:
    """Let contacts be handed over now, whatever the rule's audience and moment; once per ``key``.

    :param people: their addresses may still have to be normalised.
    :param anchors: the occasion's moments (aware) as templates show them; those that are left out are now.
    :returns: ``False`` when this was done before.
    """
    now = datetime.now(UTC)
    moments = dict.fromkeys(rule.anchors, now) | dict(anchors or {})
    occasion = Occasion(source=SOURCE, account=ACCOUNT, key=key, title=title, anchors=moments)
    entries = tuple(
        Registration(f"by-hand-{number}", one.email, now, one.first_name, one.last_name, language=one.language)
        for number, one in enumerate(people)
    )
    async with engine.begin() as connection:
        await occasions.lock(connection, [occasion])
        if await occasions.latest(connection, occasion) is not None:
            return False
        await occasions.hear(connection, occasion)
        known = await occasions.take_over(connection, occasion)
        if known is None:
            return False
        await registrations.store(connection, known.id, Roster(now, now, entries))
        version = await rule_versions.pin(connection, rule)
        await batches.plan(connection, rule_id=rule.id, rule_version=version, occasion_id=known.id, due_at=now)
        await ring(connection)
    return True


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
