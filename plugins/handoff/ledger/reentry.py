"""Who was handed over by a rule before, for rules that do not hand over the same contact at every occasion."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.occasion import BY_HAND
from handoff.rules.again import AfterDays
from handoff.rules.rule import Rule


class Earlier(NamedTuple):
    """Another handover of the same contact by the same rule.

    :param moment: the moment (aware) it was judged for. :param key: the source's key of its occasion.
    """

    moment: datetime
    key: str


# Two batches of a rule are judged one after the other, so that the second sees what the first has written;
# whatever the order group was in the version each of them is pinned to.
ALONE = text("""
    SELECT occasion.source, occasion.timezone, pg_advisory_xact_lock(hashtext('handoff-again/' || batch.rule_id))
    FROM handoff.batches AS batch JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE batch.id = :batch_id
""")
# What was refused, skipped or dropped before anything went out was no handover.
EARLIER = text("""
    WITH reset AS (
        SELECT contact.id AS contact_id, max(reset.at) AS at FROM handoff.resets AS reset
        JOIN handoff.contacts AS contact ON contact.key = reset.contact_key
        WHERE reset.rule_id = :rule_id GROUP BY contact.id
    )
    SELECT DISTINCT ON (handoff.contact_id) handoff.contact_id, other.due_at, occasion.key
    FROM handoff.handoffs AS handoff
    JOIN handoff.batches AS other ON other.id = handoff.batch_id
    JOIN handoff.occasions AS occasion ON occasion.id = other.occasion_id
    WHERE handoff.contact_id = ANY(CAST(:contacts AS bigint[]))
      AND other.rule_id = :rule_id AND other.id <> :batch_id AND occasion.source <> :by_hand
      AND other.due_at > CAST(:since AS timestamptz) AND other.due_at < CAST(:until AS timestamptz)
      AND EXISTS (SELECT FROM handoff.effects AS effect WHERE effect.handoff_id = handoff.id
        AND effect.state IN ('planned', 'sending', 'unknown', 'held', 'confirmed')
        -- What is planned in an earlier round of the occasion does not go out any more.
        AND (effect.state <> 'planned'
          OR other.occasion_id <> (SELECT occasion_id FROM handoff.batches WHERE id = :batch_id)))
      AND NOT EXISTS (
        SELECT FROM reset JOIN handoff.verdicts AS verdict ON verdict.contact_id = reset.contact_id
        WHERE reset.contact_id = handoff.contact_id AND verdict.batch_id = other.id AND verdict.included
          AND verdict.judged_at < reset.at)
    ORDER BY handoff.contact_id, other.due_at DESC, other.id
""")
EVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


async def earlier(
    connection: AsyncConnection, batch_id: int, rule: Rule, contacts: Sequence[int], moment: datetime
) -> dict[int, Earlier]:
    """Return, by contact id, the other handovers because of which the rule does not hand over these again.

    Nobody else judges for the rule until the transaction ends. A handover counts when something went
    out or still may, and nobody has reset the contact since (:mod:`handoff.ledger.resets`). What was
    handed over by hand neither counts nor is left out.

    :param moment: the moment (aware) the batch is judged for.
    """
    batch = (await connection.execute(ALONE, {"batch_id": batch_id})).one()
    if batch.source == BY_HAND:
        return {}
    since, until = rule.again.apart(moment, batch.timezone) if isinstance(rule.again, AfterDays) else EVER
    parameters = {
        "contacts": sorted(contacts), "rule_id": rule.id, "batch_id": batch_id, "by_hand": BY_HAND,
        "since": since, "until": until,
    }  # fmt: skip
    rows = await connection.execute(EARLIER, parameters)
    return {row.contact_id: Earlier(row.due_at, row.key) for row in rows}
