"""What in the ledger's own state the team should know of: what is held, refused, or later than its rule allows.

The delivery need not care: the sweep looks, and notices begin and end with what they are about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger import notices, quotas, rule_versions
from handoff.reasons import in_words
from handoff.rules.rule import Rule
from handoff.times.permission import postponed
from handoff.times.timing import recipient_zone


@dataclass(frozen=True, slots=True)
class Alarm:
    """One cause that stands now.

    :param count: how many effects and whole batches it concerns.
    """

    cause: str
    kind: notices.Kind
    words: str
    count: int


HELD = text("""
    WITH held AS (
        SELECT batch.rule_id, effect.reason, 1 AS effects, 0 AS batches, 0 AS behind
        FROM handoff.effects AS effect
        JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
        JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
        WHERE effect.state = 'held'
        UNION ALL
        SELECT rule_id, reason, 0, 1, 0 FROM handoff.batches WHERE state = 'held'
        UNION ALL
        SELECT batch.rule_id, lane.held, 0, 0, 1
        FROM handoff.lanes AS lane
        JOIN handoff.effects AS effect ON effect.lane_id = lane.id AND effect.state IN ('planned', 'sending', 'unknown')
        JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
        JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
        WHERE lane.held IS NOT NULL
    )
    SELECT rule_id, sum(effects) AS effects, sum(batches) AS batches, sum(behind) AS behind,
        mode() WITHIN GROUP (ORDER BY reason) FILTER (WHERE effects + batches > 0) AS reason
    FROM held GROUP BY rule_id ORDER BY rule_id
""")
OVERDUE = text("""
    SELECT batch.rule_id, batch.rule_version, batch.due_at, effect.step_no, contact.timezone AS own,
        occasion.timezone AS occasions, count(*) AS effects, 0 AS batches
    FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
    JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE effect.state IN ('planned', 'sending', 'unknown') AND batch.due_at < clock_timestamp()
      AND NOT effect.late_allowed
    GROUP BY batch.id, effect.step_no, contact.timezone, occasion.timezone
    UNION ALL
    SELECT batch.rule_id, batch.rule_version, batch.due_at, 0, '', occasion.timezone, 0, 1
    FROM handoff.batches AS batch JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE batch.state = 'waiting' AND batch.due_at < clock_timestamp() AND NOT batch.late_allowed
    ORDER BY rule_id, due_at
""")
# What no replay mends stays refused for ever, so a cause is over when a day has passed without another one.
REFUSED = text("""
    WITH refused AS (
        SELECT batch.rule_id, effect.step_no + 1 AS step_no, effect.step, effect.account, effect.reason,
            effect.settled_at,
            'refused/rule:' || batch.rule_id || '/step:' || effect.step_no + 1 || '/' || effect.account AS cause
        FROM handoff.effects AS effect
        JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
        JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
        JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
        JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
        WHERE effect.state = 'refused' AND contact.email <> '' AND NOT occasion.cancelled
    )
    SELECT refused.cause, rule_id, step_no, account, max(step) AS step, count(*) AS effects, 0 AS batches,
        mode() WITHIN GROUP (ORDER BY reason) AS reason
    FROM refused LEFT JOIN handoff.notices AS notice ON notice.cause = refused.cause AND notice.closed_at IS NULL
    WHERE settled_at > COALESCE(notice.first_at, clock_timestamp()) - interval '1 day'
    GROUP BY refused.cause, rule_id, step_no, account
    HAVING max(settled_at) > clock_timestamp() - interval '1 day'
        OR bool_or(notice.id IS NOT NULL AND notice.told_at IS NULL)
    ORDER BY refused.cause
""")
STANDING = text("""
    SELECT cause FROM handoff.notices
    WHERE closed_at IS NULL
      AND (cause LIKE 'held/rule:%' OR cause LIKE 'late/rule:%' OR cause LIKE 'refused/rule:%')
    ORDER BY cause
""")
# What was missed stays so: the next one after a quiet day is told anew.
QUIET = text("""
    UPDATE handoff.notices SET closed_at = clock_timestamp() WHERE id IN (
        SELECT id FROM handoff.notices
        WHERE closed_at IS NULL AND told_at IS NOT NULL AND kind IN ('missed', 'history')
          AND last_at < clock_timestamp() - interval '1 day'
        ORDER BY id FOR UPDATE)
""")


async def review(connection: AsyncConnection) -> list[Alarm]:
    """Bring the notices of what is held, refused or late in line with the ledger, and return what stands now.

    A cause that stands already only gets its new count; one that is over ends.
    """
    found = [_held(row) for row in (await connection.execute(HELD)).mappings()]
    found += [_refused(row) for row in (await connection.execute(REFUSED)).mappings()]
    found += await _late(connection)
    await quotas.close_over(connection)
    await connection.execute(QUIET)
    for cause in set((await connection.execute(STANDING)).scalars()) - {alarm.cause for alarm in found}:
        await notices.close(connection, cause)
    for alarm in sorted(found, key=lambda alarm: alarm.cause):
        await notices.stands(connection, alarm.cause, alarm.kind, alarm.words, alarm.count)
    return found


def _held(row: RowMapping) -> Alarm:
    what = _what(dict(row))
    behind = f"{row['behind']} effects wait behind what is held" if row["behind"] else ""
    held = f"{what} held, mostly: {in_words(row['reason'])}" if what else ""
    words = f"rule {row['rule_id']}: {'; '.join(filter(None, [held, behind]))}. See: handoff held {row['rule_id']}"
    return Alarm(f"held/rule:{row['rule_id']}", "held", words, int(row["effects"] + row["batches"] or row["behind"]))


def _refused(row: RowMapping) -> Alarm:
    where = f"rule {row['rule_id']}, step {row['step_no']} ({row['step']} at {row['account']})"
    words = f"{where}: {_what(dict(row))} refused, mostly: {in_words(row['reason'])}. See: handoff replay"
    return Alarm(row["cause"], "refused", words, row["effects"])


async def _late(connection: AsyncConnection) -> list[Alarm]:
    """Return one alarm for each rule that has something open later than its ``late_after``, windows counted in."""
    versions: dict[tuple[str, int], Rule] = {}
    late: defaultdict[str, list[RowMapping]] = defaultdict(list)
    now = datetime.now(UTC)
    for row in (await connection.execute(OVERDUE)).mappings().all():
        version = row["rule_id"], row["rule_version"]
        if version not in versions:
            versions[version] = await rule_versions.load(connection, *version)
        if _is_late(versions[version], row, now):
            late[row["rule_id"]].append(row)
    return [_too_late(rule_id, rows, now) for rule_id, rows in late.items()]


def _is_late(rule: Rule, row: RowMapping, now: datetime) -> bool:
    """Tell whether something is late ``now`` (aware): its window postpones it first, and some may be late."""
    zone = recipient_zone(row["own"], row["occasions"])
    return rule.late_after.too_late(now, postponed(rule, row["step_no"], zone, row["due_at"]))


def _too_late(rule_id: str, rows: list[RowMapping], now: datetime) -> Alarm:
    sums = {name: sum(row[name] for row in rows) for name in ("effects", "batches")}
    minutes = (now - min(row["due_at"] for row in rows)).total_seconds() / 60
    words = f"rule {rule_id}: {_what(sums)} later than its late_after allows, the latest by {minutes:,.0f} minutes"
    return Alarm(f"late/rule:{rule_id}", "late", f"{words}. See: handoff pending {rule_id}", sum(sums.values()))


def _what(sums: Mapping[str, int]) -> str:
    """Return ``"500 effects and 1 batch"``; empty when there is nothing."""
    parts = [(sums["effects"], "effect", "effects"), (sums["batches"], "batch", "batches")]
    return " and ".join(f"{amount:,} {one if amount == 1 else many}" for amount, one, many in parts if amount)
