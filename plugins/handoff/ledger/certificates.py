"""The certificate of a batch: everybody the source lists is handled, excluded for a reason, or pending."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger import notices

PUT_OFF = "sweep.put_off"
"""The cursor of until when the comparison of an account, ``source/connection id``, is put off; empty when it is not."""


@dataclass(frozen=True, slots=True)
class Count:
    """A certificate's figures: counts only, no contact data.

    :param key: the source's key of the occasion.
    :param due_at: the moment (aware) of the handover. :param moment: what it is judged for, the same or earlier.
    :param excluded: how many entries were left out, by reason.
    :param handled: contacts all of whose effects have ended: confirmed, refused or skipped.
    :param pending: contacts with an effect that is still open or held, or entries not judged yet.
    :param effects: how many effects are in which state.
    :param missing: how many entries of the source's own list the ledger did not know when it was compared.
    :param round: see :class:`handoff.ledger.schema.Batch`.
    :param compared_at: when the source last said who is listed (aware): its list was read for comparison, or what the
        account lists showed that nobody is new on it.
    :param put_off_until: no more is compared before (aware), for the day's requests for polling are used up.
    """

    batch_id: int
    rule_id: str
    key: str
    title: str
    state: str
    due_at: datetime
    moment: datetime
    listed: int
    handled: int
    excluded: dict[str, int]
    pending: int
    effects: dict[str, int]
    missing: int = 0
    compared_at: datetime | None = None
    round: int = 0
    put_off_until: datetime | None = None

    @property
    def unaccounted(self) -> int:
        """Entries that are neither handled nor excluded nor pending."""
        return self.listed - self.handled - sum(self.excluded.values()) - self.pending

    @property
    def even(self) -> bool:
        """Whether listed = handled + excluded + pending."""
        return self.unaccounted == 0

    def figures(self) -> dict[str, Any]:
        """Return the figures as plain JSON, as asset events and XComs carry them."""
        return {
            "batch_id": self.batch_id, "rule": self.rule_id, "occasion": self.key, "title": self.title,
            "state": self.state, "due_at": self.due_at.isoformat(), "even": self.even, "listed": self.listed,
            "handled": self.handled, "excluded": dict(self.excluded), "pending": self.pending,
            "effects": dict(self.effects), "unaccounted": self.unaccounted, "missing": self.missing,
            "compared_at": self.compared_at.isoformat() if self.compared_at else None,
            "put_off_until": self.put_off_until.isoformat() if self.put_off_until else None,
        }  # fmt: skip

    def __str__(self) -> str:
        sums = f"{self.handled} handled + {sum(self.excluded.values())} excluded + {self.pending} pending"
        evenness = "even" if self.even else f"NOT EVEN: {self.unaccounted} unaccounted for, {self.missing} missing"
        return f"{self.title}: {self.listed} listed = {sums} ({evenness}); effects {self.effects}"


@dataclass(frozen=True, slots=True)
class OccasionBatches:
    """An occasion and the batches of it, in the order of their moments."""

    id: int
    source: str
    account: str
    key: str
    title: str
    cancelled: bool
    batch_ids: list[int]


# The row is kept as it is while its entries are counted: whoever judges more of them waits.
BATCH = text("""
    SELECT batch.rule_id, batch.state, batch.due_at, COALESCE(batch.starts_at, batch.due_at) AS moment,
        batch.round, occasion.key, occasion.title, (SELECT value FROM handoff.cursors
            WHERE source = :put_off AND account = occasion.source || '/' || occasion.account) AS put_off_until
    FROM handoff.batches AS batch
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE batch.id = :batch_id FOR SHARE OF batch
""")
ENTRIES = text("""
    SELECT CASE
            WHEN verdict.included THEN 'included'
            WHEN verdict.ref IS NOT NULL THEN verdict.reason
            WHEN batch.state IN ('waiting', 'held') THEN 'not_judged'
            WHEN batch.state IN ('cancelled', 'missed', 'skipped') THEN batch.reason
            WHEN registration.registered_at > COALESCE(batch.starts_at, batch.due_at) THEN 'registered_later'
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
COMPARED = text("SELECT missing, compared_at FROM handoff.certificates WHERE batch_id = :batch_id")
WRITE = text("""
    INSERT INTO handoff.certificates AS certificate
        (batch_id, listed, handled, excluded, pending, even, missing, compared_at)
    VALUES (:batch_id, :listed, :handled, CAST(:excluded AS jsonb), :pending, :even, :missing, :compared_at)
    ON CONFLICT (batch_id) DO UPDATE SET listed = EXCLUDED.listed, handled = EXCLUDED.handled,
        excluded = EXCLUDED.excluded, pending = EXCLUDED.pending, even = EXCLUDED.even, missing = EXCLUDED.missing,
        compared_at = EXCLUDED.compared_at, written_at = clock_timestamp(),
        published_at = CASE
            WHEN (certificate.listed, certificate.handled, certificate.excluded, certificate.pending, certificate.even)
                = (EXCLUDED.listed, EXCLUDED.handled, EXCLUDED.excluded, EXCLUDED.pending, EXCLUDED.even)
            THEN certificate.published_at END
    RETURNING published_at IS NULL AS news
""")
UNSETTLED = text("""
    SELECT batch.id FROM handoff.batches AS batch
    LEFT JOIN handoff.certificates AS certificate ON certificate.batch_id = batch.id
    WHERE (CAST(:rule_id AS text) IS NULL OR batch.rule_id = :rule_id)
      AND (batch.state IN ('judged', 'held', 'cancelled', 'skipped') OR batch.reason = 'heard_too_late')
      AND (certificate.batch_id IS NULL OR certificate.pending > 0 OR NOT certificate.even
        OR certificate.written_at < batch.judged_at)
    ORDER BY batch.due_at, batch.id
""")
PUBLISH = text("""
    WITH news AS (
        SELECT certificate.batch_id FROM handoff.certificates AS certificate
        JOIN handoff.batches AS batch ON batch.id = certificate.batch_id
        WHERE certificate.published_at IS NULL AND (CAST(:rule_id AS text) IS NULL OR batch.rule_id = :rule_id)
        ORDER BY certificate.batch_id LIMIT :most FOR UPDATE OF certificate SKIP LOCKED
    )
    UPDATE handoff.certificates AS certificate SET published_at = clock_timestamp()
    FROM news WHERE certificate.batch_id = news.batch_id RETURNING certificate.batch_id
""")
PUBLISHED_AT_ONCE = 500
NAMED = text("""
    SELECT occasion.id, occasion.source, occasion.account, occasion.key, occasion.title, occasion.cancelled,
        ARRAY(SELECT id FROM handoff.batches WHERE occasion_id = occasion.id ORDER BY due_at, rule_id) AS batch_ids
    FROM handoff.occasions AS occasion
    WHERE occasion.key = :name OR (CAST(occasion.id AS text) = :name
        AND NOT EXISTS (SELECT FROM handoff.occasions WHERE key = :name))
    ORDER BY occasion.source, occasion.account
""")


async def count(connection: AsyncConnection, batch_id: int) -> Count:
    """Count a batch's entries from what is written in the ledger; hold it still until the transaction ends."""
    one = {"batch_id": batch_id}
    batch = (await connection.execute(BATCH, {**one, "put_off": PUT_OFF})).one()
    put_off_until = datetime.fromisoformat(batch.put_off_until) if batch.put_off_until else None
    entries = {row.verdict: row.entries for row in await connection.execute(ENTRIES, one)}
    handoffs = {row.open: row.handoffs for row in await connection.execute(HANDOFFS, one)}
    effects = {row.state: row.effects for row in await connection.execute(EFFECTS, one)}
    compared = (await connection.execute(COMPARED, one)).first()
    return Count(
        batch_id=batch_id,
        rule_id=batch.rule_id,
        key=batch.key,
        title=batch.title,
        state=batch.state,
        due_at=batch.due_at,
        moment=batch.moment,
        listed=sum(entries.values()),
        handled=handoffs.get(False, 0),
        excluded=_excluded(entries),
        pending=handoffs.get(True, 0) + entries.get("not_judged", 0),
        effects=effects,
        round=batch.round,
        compared_at=compared.compared_at if compared else None,
        # What was missing stays said for as long as it shows.
        missing=compared.missing if compared and entries.get("unaccounted") else 0,
        put_off_until=put_off_until if put_off_until and put_off_until > datetime.now(UTC) else None,
    )


def _excluded(entries: Mapping[str, int]) -> dict[str, int]:
    return {reason: n for reason, n in entries.items() if reason not in {"included", "not_judged", "unaccounted"}}


async def write(connection: AsyncConnection, counted: Count) -> bool:
    """Write or renew a batch's certificate; a red one raises a notice, which ends when it is even again.

    :returns: whether these figures still have to be published.
    """
    values = {
        "batch_id": counted.batch_id, "listed": counted.listed, "handled": counted.handled,
        "excluded": json.dumps(counted.excluded), "pending": counted.pending, "even": counted.even,
        "missing": counted.missing, "compared_at": counted.compared_at,
    }  # fmt: skip
    news = bool((await connection.execute(WRITE, values)).scalar_one())
    cause = f"certificate/{counted.rule_id}/{counted.key}" + (f"/{counted.round}" if counted.round else "")
    if counted.even:
        await notices.close(connection, cause)
    elif news:
        await notices.stands(connection, cause, "certificate", _words(counted), counted.unaccounted)
    return news


def _words(counted: Count) -> str:
    return (
        f"rule {counted.rule_id}: {abs(counted.unaccounted)} of {counted.listed} entries that the source lists for "
        f"{counted.title} are unaccounted for; the sweep judges them now. If it stays so, see: "
        f"handoff certificate {counted.key}"
    )


async def to_certify(connection: AsyncConnection, rule_id: str | None = None) -> list[int]:
    """Return the batches, of one rule or of all, that ended waiting and have no even and complete certificate yet."""
    return list((await connection.execute(UNSETTLED, {"rule_id": rule_id})).scalars())


async def publish(connection: AsyncConnection, rule_id: str | None = None) -> list[Count]:
    """Return the certificates, of one rule or of all, that were not published as they are now, and mark them."""
    parameters = {"rule_id": rule_id, "most": PUBLISHED_AT_ONCE}
    batch_ids = (await connection.execute(PUBLISH, parameters)).scalars().all()
    return [await count(connection, batch_id) for batch_id in sorted(batch_ids)]


async def occasions_named(connection: AsyncConnection, name: str) -> list[OccasionBatches]:
    """Return the occasions of a key, in whichever accounts; none has it: the occasion with this id in the ledger."""
    return [OccasionBatches(*row) for row in (await connection.execute(NAMED, {"name": name})).all()]
