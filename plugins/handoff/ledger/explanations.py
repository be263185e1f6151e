"""Everything that was decided and done about one person, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Consideration:
    """One rule that considered a person, at one occasion.

    :param batch: the batch with its rule and occasion, as ``BATCHES`` names them.
    :param entries: the person's entries in the source's list: ``ref, registered_at, read_at``.
    :param verdicts: one for each entry that was judged, as ``VERDICTS`` names them.
    :param effects: in the order of the steps, as ``EFFECTS`` names them.
    """

    batch: RowMapping
    entries: list[RowMapping]
    verdicts: list[RowMapping]
    effects: list[RowMapping]


BATCHES = text("""
    WITH considered AS (
        SELECT batch_id AS id FROM handoff.verdicts WHERE contact_id = :contact_id
        UNION SELECT batch_id FROM handoff.handoffs WHERE contact_id = :contact_id
        UNION SELECT batch.id FROM handoff.registrations AS registration
        JOIN handoff.batches AS batch ON batch.occasion_id = registration.occasion_id
        WHERE registration.contact_id = :contact_id
    )
    SELECT batch.id AS batch_id, batch.rule_id, batch.rule_version, rule.spec ->> 'title' AS rule_title,
        rule.spec ->> 'who' AS who, batch.occasion_id, batch.due_at, batch.wake_at, batch.state, batch.reason,
        batch.judged_at, occasion.source, occasion.account, occasion.key, occasion.title, occasion.anchors,
        occasion.cancelled
    FROM considered JOIN handoff.batches AS batch ON batch.id = considered.id
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    LEFT JOIN handoff.rule_versions AS rule ON rule.rule_id = batch.rule_id AND rule.version = batch.rule_version
    ORDER BY batch.due_at DESC, batch.id DESC
""")
ENTRIES = text("""
    SELECT occasion_id, ref, registered_at, read_at FROM handoff.registrations
    WHERE contact_id = :contact_id ORDER BY registered_at, ref
""")
VERDICTS = text("""
    SELECT batch_id, ref, included, reason, moment, facts, read_at, judged_at FROM handoff.verdicts
    WHERE contact_id = :contact_id ORDER BY included DESC, reason = 'duplicate', id
""")
EFFECTS = text("""
    SELECT handoff.batch_id, effect.id AS effect_id, effect.step_no + 1 AS step_no, effect.step, effect.account,
        effect.state, effect.reason, effect.attempts, effect.intent_at, effect.settled_at, effect.proof,
        effect.late_allowed, effect.lane_id, lane.held AS lane_held, lane.rests AS lane_rests,
        lane.ready_at AS lane_ready_at
    FROM handoff.handoffs AS handoff
    JOIN handoff.effects AS effect ON effect.handoff_id = handoff.id
    JOIN handoff.lanes AS lane ON lane.id = effect.lane_id
    WHERE handoff.contact_id = :contact_id ORDER BY handoff.id, effect.step_no
""")


async def considerations(connection: AsyncConnection, contact_id: int) -> list[Consideration]:
    """Return every rule that considered the person, by due moment, newest first."""
    parameters = {"contact_id": contact_id}
    entries = _by("occasion_id", (await connection.execute(ENTRIES, parameters)).mappings())
    verdicts = _by("batch_id", (await connection.execute(VERDICTS, parameters)).mappings())
    effects = _by("batch_id", (await connection.execute(EFFECTS, parameters)).mappings())
    return [
        Consideration(row, entries[row["occasion_id"]], verdicts[row["batch_id"]], effects[row["batch_id"]])
        for row in (await connection.execute(BATCHES, parameters)).mappings()
    ]


def _by(column: str, rows: Iterable[RowMapping]) -> defaultdict[int, list[RowMapping]]:
    found: defaultdict[int, list[RowMapping]] = defaultdict(list)
    for row in rows:
        found[row[column]].append(row)
    return found
