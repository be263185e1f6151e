"""Closing what the ledger still has to do in the world of an earlier run, whose sandbox has gone."""

from __future__ import annotations

from sqlalchemy import Connection, text

from launch import appointments, records, webinars
from launch.expectation import TARGETS

REASON = "sandbox_ended"
SOURCES = frozenset({webinars.ACCOUNT, records.ACCOUNT, appointments.ACCOUNT, "callexa_default"})
"""The source accounts that lead to the sandbox."""

BATCHES = text("""
    UPDATE handoff.batches AS batch SET state = 'cancelled', reason = :reason, lease_owner = NULL, leased_until = NULL
    FROM handoff.occasions AS occasion
    WHERE occasion.id = batch.occasion_id AND batch.state = 'waiting'
      AND (occasion.account = ANY(:accounts)
        OR occasion.source = 'survey' AND occasion.facts ->> 'account' = ANY(:accounts))
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
# What happened in the new world before it began is history, though the rules were at work in the old one.
RULES = text("""
    UPDATE handoff.rule_versions SET created_at = clock_timestamp() WHERE spec ->> 'conn_id' = ANY(:accounts)
""")
CURSORS = text("DELETE FROM handoff.cursors WHERE account = ANY(:accounts)")


def close(connection: Connection) -> None:
    """Cancel, skip and free what would otherwise go out into a world that never knew of it, and read this one anew.

    Only what leads to the sandbox is touched: its source accounts and its target accounts.
    """
    connection.execute(BATCHES, {"reason": REASON, "accounts": sorted(SOURCES)})
    connection.execute(EFFECTS, {"reason": REASON, "accounts": sorted(TARGETS)})
    connection.execute(LANES)
    connection.execute(RULES, {"accounts": sorted(SOURCES)})
    connection.execute(CURSORS, {"accounts": sorted(SOURCES)})
