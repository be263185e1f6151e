"""The certificate of a batch: everybody the source lists is handled, excluded for a reason, or pending."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Count:
    """A certificate's figures.

    :param excluded: how many entries were left out, by reason.
    :param handled: contacts all of whose effects have ended: confirmed, refused or skipped.
    :param pending: contacts with an effect that is still open or held, or entries not judged yet.
    :param effects: how many effects are in which state.
    """

    batch_id: int
    title: str
    listed: int
    handled: int
    excluded: dict[str, int]
    pending: int
    effects: dict[str, int]

    @property
    def even(self) -> bool:
        """Whether listed = handled + excluded + pending."""
        return self.listed == self.handled + sum(self.excluded.values()) + self.pending


ENTRIES = text("""
    SELECT CASE
            WHEN verdict.included THEN 'included'
            WHEN verdict.ref IS NOT NULL THEN verdict.reason
            WHEN batch.state IN ('waiting', 'held') THEN 'not_judged'
            WHEN batch.state IN ('cancelled', 'missed') THEN batch.reason
            WHEN registration.registered_at > batch.due_at THEN 'registered_later'
            ELSE 'unaccounted' END AS verdict,
        count(*) AS entries
    FROM handoff.batches AS batch
    JOIN handoff.registrations AS registration ON registration.occasion_id = batch.occasion_id
    LEFT JOIN handoff.verdicts AS verdict ON verdict.batch_id = batch.id AND verdict.ref = registration.ref
    WHERE batch.id = :batch_id GROUP BY 1
""")
HANDOFFS = text("""
    SELECT open, count(*) AS handoffs FROM (
        SELECT bool_or(effect.state IN ('planned', 'sending', 'unknown', 'held')) AS open
        FROM handoff.handoffs AS handoff JOIN handoff.effects AS effect ON effect.handoff_id = handoff.id
        WHERE handoff.batch_id = :batch_id GROUP BY handoff.id) AS ended
    GROUP BY open
""")
EFFECTS = text("""
    SELECT effect.state, count(*) AS effects FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    WHERE handoff.batch_id = :batch_id GROUP BY effect.state
""")
TITLE = text("""
    SELECT occasion.title FROM handoff.batches AS batch
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id WHERE batch.id = :batch_id
""")
WRITE = text("""
    INSERT INTO handoff.certificates AS certificate (batch_id, listed, handled, excluded, pending, even)
    VALUES (:batch_id, :listed, :handled, CAST(:excluded AS jsonb), :pending, :even)
    ON CONFLICT (batch_id) DO UPDATE SET listed = EXCLUDED.listed, handled = EXCLUDED.handled,
        excluded = EXCLUDED.excluded, pending = EXCLUDED.pending, even = EXCLUDED.even,
        written_at = clock_timestamp()
""")
UNSETTLED = text("""
    SELECT batch.id FROM handoff.batches AS batch
    LEFT JOIN handoff.certificates AS certificate ON certificate.batch_id = batch.id
    WHERE batch.rule_id = :rule_id AND batch.state = 'judged'
      AND (certificate.batch_id IS NULL OR certificate.pending > 0 OR NOT certificate.even)
    ORDER BY batch.due_at
""")


async def count(connection: AsyncConnection, batch_id: int) -> Count:
    """Count a batch's entries from what is written in the ledger."""
    entries = {row.verdict: row.entries for row in await connection.execute(ENTRIES, {"batch_id": batch_id})}
    handoffs = {row.open: row.handoffs for row in await connection.execute(HANDOFFS, {"batch_id": batch_id})}
    listed = sum(entries.values())
    excluded = {reason: n for reason, n in entries.items() if reason not in {"included", "not_judged", "unaccounted"}}
    return Count(
        batch_id=batch_id,
        title=(await connection.execute(TITLE, {"batch_id": batch_id})).scalar_one(),
        listed=listed,
        pending=handoffs.get(True, 0) + entries.get("not_judged", 0),
        handled=handoffs.get(False, 0),
        excluded=excluded,
        effects={row.state: row.effects for row in await connection.execute(EFFECTS, {"batch_id": batch_id})},
    )


async def write(connection: AsyncConnection, figures: Count) -> None:
    """Write or renew a batch's certificate."""
    values = {name: value for name, value in asdict(figures).items() if name not in {"title", "effects"}}
    values |= {"excluded": json.dumps(figures.excluded), "even": figures.even}
    await connection.execute(WRITE, values)


async def to_certify(connection: AsyncConnection, rule_id: str) -> list[int]:
    """Return the rule's judged batches that have no even and complete certificate yet."""
    return list((await connection.execute(UNSETTLED, {"rule_id": rule_id})).scalars())
