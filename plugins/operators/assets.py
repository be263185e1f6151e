"""The assets by which handoffs speak to Airflow: a rule's doorbell, and certificates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow.sdk import Asset, AssetAlias, AssetWatcher

from handoff.ledger.certificates import Count

CERTIFICATES = Asset("handoff_certificates")
"""Every certificate that is news is one event of this asset; its ``extra`` has the figures."""
# Aliases: which rules are rung, and how many certificates there are, is known only when a task runs.
CERTIFICATE_NEWS = AssetAlias(name="handoff_certificate_news")
SWEEP_BELLS = AssetAlias(name="handoff_sweep_bells")


def rule_asset(rule_id: str, watchers: Iterable[AssetWatcher] = ()) -> Asset:
    """Return the asset whose events start a rule's DAG."""
    return Asset(name=f"handoff_{rule_id}", uri=f"handoff://{rule_id}", watchers=list(watchers))


def publish(outlet_events: Any, certificates: Iterable[Count]) -> None:
    """Let each certificate become an event of :data:`CERTIFICATES` when the task ends well.

    :param outlet_events: those of the task's context; :data:`CERTIFICATE_NEWS` is among its outlets.
    """
    for counted in certificates:
        outlet_events[CERTIFICATE_NEWS].add(CERTIFICATES, extra=counted.figures())


def ring(outlet_events: Any, rule_ids: Iterable[str]) -> None:
    """Ring the bells of rules when the task ends well.

    :param outlet_events: those of the task's context; :data:`SWEEP_BELLS` is among its outlets.
    """
    for rule_id in rule_ids:
        outlet_events[SWEEP_BELLS].add(rule_asset(rule_id), extra={"payload": {"rule_id": rule_id, "by": "sweep"}})
