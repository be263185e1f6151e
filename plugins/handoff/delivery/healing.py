"""Judging now whom a batch's list names and nobody judged, or nobody could read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.ledger import comparisons, registrations, rule_versions, verdicts
from handoff.ledger.bells import ring
from handoff.ledger.comparisons import JudgedBatch
from handoff.ledger.registrations import Listed
from handoff.ledger.verdicts import Judged
from handoff.planning.judging import judge_list
from handoff.registration import Roster
from handoff.rules.rule import Rule


async def heal(engine: AsyncEngine, batch_id: int, roster: Roster) -> int:
    """Judge for the batch's moment those on its list who have no verdict yet, or were excluded as unreadable.

    Their effects join the lanes like any other: how late is too late is decided there.

    :param roster: the list as read just now, and stored; presence that does not reach up to the moment judges nobody.
    :returns: how many entries were judged.
    """
    async with engine.begin() as connection:
        batch = await comparisons.judged_batch(connection, batch_id)
        if batch is None:
            return 0
        rule = await rule_versions.load(connection, batch.rule_id, batch.rule_version)
        if rule.needs_presence and roster.presence_until < batch.moment:
            return 0
        listed = await registrations.listed(connection, batch.known.id)
        judged = list(_left_over(rule, batch, listed))
        if judged:
            await _write(connection, rule, batch, judged, roster.read_at)
    return len(judged)


async def _write(
    connection: AsyncConnection, rule: Rule, batch: JudgedBatch, judged: list[Judged], read_at: datetime
) -> None:
    await verdicts.forget_unreadable(connection, batch.id, sorted(batch.readable))
    await verdicts.write(connection, batch.id, rule, judged, moment=batch.moment, read_at=read_at)
    await ring(connection)


def _left_over(rule: Rule, batch: JudgedBatch, listed: list[Listed]) -> Iterator[Judged]:
    """Judge the entries without a verdict; a person who has one in this batch is not judged again.

    Nor is who came later: that is no matter of the audience.
    """
    later = {entry.registration.ref for entry in listed if entry.registration.registered_at > batch.moment}
    for entry in judge_list(rule, batch.known.occasion, batch.id, batch.moment, listed):
        if entry.ref in batch.refs or entry.ref in later - batch.readable:
            continue
        if entry.contact_id in batch.contact_ids:
            entry = entry._replace(included=False, reason="duplicate", lane="", facts={})
        yield entry
