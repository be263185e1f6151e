"""Closing what the ledger still has to do in the world of an earlier run, whose sandbox has gone."""

from __future__ import annotations

from sqlalchemy import Connection, text

from launch.expectation import TARGETS
from launch.world import ACCOUNT, SOURCE

REASON = "sandbox_ended"

BATCHES = text("""
    UPDATE handoff.batches AS batch SET state = 'cancelled', reason = :reason, lease_owner = NULL, leased_until = NULL
    FROM handoff.occasions AS occasion
    WHERE occasion.id = batch.occasion_id AND batch.state = 'waiting'
      AND occasion.source = :source AND occasion.account = :account
""")
EFFECTS = text("""
    UPDATE handoff.effects SET state = 'skipped', reason = :reason, settled_at = clock_timestamp()
    WHERE state IN ('planned', 'sending', 'unknown', 'held') AND account = ANY(:accounts)
""")
LANES = text("""
    UPDATE handoff.lanes AS lane SET ready_at = NULL, held = NULL, lease_owner = NULL, leased_until = NULL
    WHERE NOT EXISTS (
        SELECT FROM handoff.effects AS effect
        WHERE effect.lane_id = lane.id AND effect.state IN ('planned', 'sending', 'unknown', 'held'))
""")


def close(connection: Connection) -> None:
    """Cancel, skip and free what would otherwise go out into a world that never knew of it.

    Only what leads to the sandbox is touched: its source account and its target accounts.
    """
    connection.execute(BATCHES, {"reason": REASON, "source": SOURCE, "account": ACCOUNT})
    connection.execute(EFFECTS, {"reason": REASON, "accounts": sorted(TARGETS)})
    connection.execute(LANES)
