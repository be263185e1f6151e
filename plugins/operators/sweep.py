"""The task of the sweep: what no bell rang for, certificates, and each source's own list against the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseAsyncOperator, Context

from handoff.delivery.comparison import Compared
from handoff.delivery.intake import take_up_deliveries
from handoff.delivery.looking_ahead import look_ahead
from handoff.delivery.sweep import COMPARE_EVERY, STEPS, Sweep, run
from handoff.delivery.sweep import publish as publish_news
from handoff.rules.file import project_rules
from hooks.ledger import LedgerHook
from operators.assets import CERTIFICATE_NEWS, CERTIFICATES, SWEEP_BELLS, publish, ring
from operators.limits import declare_limits
from operators.work import open_engine, open_sources


async def limits(sweep: Sweep) -> None:
    """Let the ledger know what the connections of target accounts allow."""
    await declare_limits(sweep.engine, sweep.rules)


class SweepOperator(BaseAsyncOperator):
    """Sweeps once.

    The form of its DAG may say ``compare_now``: then every list is compared now.

    :param ledger_conn_id: connection of type ``handoff_ledger``.
    :param compare_every: how long after a source was compared it is compared again.
    :returns: counts only: rules rung for, certificates that are news, what the comparisons found, and why parts of the
        sweep failed. The task ends well for all that, for Airflow takes no events of a task that fails; see
        :class:`operators.sweep_outcome.SweepOutcomeOperator`.
    """

    template_fields: Sequence[str] = ("ledger_conn_id",)

    def __init__(
        self,
        *,
        ledger_conn_id: str = LedgerHook.default_conn_name,
        compare_every: timedelta = COMPARE_EVERY,
        **kwargs: Any,
    ) -> None:
        # The asset is an inlet so that the UI shows it before its first event.
        assets = {"inlets": [CERTIFICATES], "outlets": [CERTIFICATE_NEWS, SWEEP_BELLS]}
        super().__init__(**{**assets, **kwargs})
        self.ledger_conn_id, self.compare_every = ledger_conn_id, compare_every

    async def aexecute(self, context: Context) -> dict[str, Any]:
        """Take every step of the sweep, then ring and publish."""
        events = context["outlet_events"]
        async with open_engine(self.ledger_conn_id) as engine:
            async with open_sources(engine) as sources:
                sweep = Sweep(
                    engine,
                    project_rules(),
                    sources.of,
                    self.compare_every,
                    bool(context["params"].get("compare_now")),
                    announce=lambda counted: publish(events, [counted]),
                )
                await run(sweep, (limits, take_up_deliveries, *STEPS, look_ahead))
            # What is marked as published is announced only by a task that ends well: so nothing fallible comes behind.
            await run(sweep, (publish_news,))
        ring(events, sweep.unheard)
        self._tell(sweep)
        return {
            "rung": sweep.unheard,
            "certificates": len(sweep.published),
            "red": sum(not counted.even for counted in sweep.published),
            "removed": sweep.removed,
            "compared": {"/".join(name): _counts(compared) for name, compared in sweep.compared.items()},
            "failed": sweep.failed,
        }

    def _tell(self, swept: Sweep) -> None:
        if swept.unheard:
            self.log.warning("nobody came for what is due; rung for %s", ", ".join(swept.unheard))
        for counted in swept.published:
            (self.log.info if counted.even else self.log.error)("%s", counted)
        for (_, name), compared in swept.compared.items():
            for trouble in compared.troubles:
                self.log.error("not compared: %s", trouble)
            if compared.put_off_until:
                self.log.warning(
                    "compared from %s on: %s: the day's requests are used up", compared.put_off_until, name
                )
        for part, why in swept.failed.items():
            self.log.error("%s failed: %s", part, why)


def _counts(compared: Compared) -> dict[str, int]:
    return {
        "occasions": compared.occasions,
        "lists": compared.lists,
        "same": compared.same,
        "recorded": compared.recorded,
        "missing": compared.missing,
        "healed": compared.healed,
        "red": len(compared.red),
        "troubles": len(compared.troubles),
        "put_off": int(compared.put_off_until is not None),
    }
