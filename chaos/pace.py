"""The engine's own waiting times, shortened so that a story takes seconds instead of minutes.

Nothing else of the engine is changed: leases still end, retries still wait, only sooner.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

SHORTENED: dict[str, float | timedelta] = {
    "handoff.ledger.lanes.LEASE_SECONDS": 2.0,
    "handoff.ledger.batches.LEASE_SECONDS": 2.0,
    "handoff.delivery.lease.RENEW_SECONDS": 0.4,
    "handoff.ledger.bells.LANE_PATIENCE_SECONDS": 0.25,
    "handoff.delivery.worker.RENEW_SECONDS": 0.4,
    "handoff.delivery.worker.SAFETY_SECONDS": 0.5,
    "handoff.delivery.worker.UNTOLD_SECONDS": 0.2,
    "handoff.delivery.moment.LOOK_AGAIN_SECONDS": 0.4,
    # A worker claims a batch 1.5 s ahead: there is time to write the first verdicts before the moment.
    "handoff.delivery.moment.PREPARING": timedelta(seconds=1.2),
    "handoff.delivery.moment.AHEAD": timedelta(seconds=0.3),
    # A long list is judged in many parts, so that something can happen between two of them.
    "handoff.delivery.judging_run.WRITTEN_AT_ONCE": 4,
    "handoff.delivery.gate.REFRESH_SECONDS": 0.3,
    "handoff.delivery.lane_run.TAKEN_SECONDS": 0.2,
    "handoff.delivery.circuit.FIRST_PAUSE_SECONDS": 0.3,
    "handoff.delivery.circuit.LATER_SECONDS": 3.0,
    "handoff.ledger.circuits.FIRST_PAUSE_SECONDS": 0.3,
    "handoff.ledger.circuits.LONGEST_PAUSE_SECONDS": 1.0,
    "handoff.ledger.circuits.PROBE_SECONDS": 3.0,
    "handoff.delivery.policy.FIRST_SECONDS": 0.1,
    "handoff.delivery.policy.LONGEST_SECONDS": 1.0,
}


def shorten() -> None:
    """Shorten them in this process. :raises AttributeError: the engine has no such constant any more."""
    for path, value in SHORTENED.items():
        module_name, _, name = path.rpartition(".")
        module = import_module(module_name)
        getattr(module, name)
        setattr(module, name, value)
