"""The task of the sweep: what no bell rang for, certificates, and each source's own list against the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseAsyncOperator
from airflow.sdk.definitions.context import Context

from handoff.delivery.comparison import Compared
from handoff.delivery.intake import take_up_deliveries
from handoff.delivery.looking_ahead import look_ahead
from handoff.delivery.sweep import COMPARE_EVERY, STEPS, Sweep, run
from handoff.home import rules_folder
from handoff.rule_file import load_folder
from hooks.ledger import LedgerHook
from operators.assets import CERTIFICATE_NEWS, CERTIFICATES, SWEEP_BELLS, publish, ring
from operators.limits import declare_limits
from operators.work import Sources, open_engine


class SweepOperator(BaseAsyncOperator):
    """Sweeps once.

    The form of its DAG may say ``compare_now``: then every list is compared now.

    :param ledger_conn_id: connection of type ``handoff_ledger``.
    :param compare_every: how long after a source was compared it is compared again.
    :returns: counts only: rules rung for, certificates that are news, and what the comparisons found.
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
        rules = [file.rule for file in load_folder(rules_folder())[0]]
        everything = bool(context["params"].get("compare_now"))
        async with open_engine(self.ledger_conn_id) as engine:
            sources = Sources(engine)
            try:
                await declare_limits(engine, rules)
                sweep = Sweep(engine, rules, sources.of, self.compare_every, everything)
                swept = await run(sweep, (take_up_deliveries, *STEPS, look_ahead))
            finally:
                await sources.close()
        ring(context["outlet_events"], swept.unheard)
        publish(context["outlet_events"], swept.published)
        self._tell(swept)
        return {
            "rung": swept.unheard,
            "certificates": len(swept.published),
            "red": sum(not counted.even for counted in swept.published),
            "removed": swept.removed,
            "compared": {"/".join(name): _counts(compared) for name, compared in swept.compared.items()},
        }

    def _tell(self, swept: Sweep) -> None:
        if swept.unheard:
            self.log.warning("nobody came for what is due; rung for %s", ", ".join(swept.unheard))
        for counted in swept.published:
            (self.log.info if counted.even else self.log.error)("%s", counted)
        for compared in swept.compared.values():
            for trouble in compared.troubles:
                self.log.error("not compared: %s", trouble)


def _counts(compared: Compared) -> dict[str, int]:
    return {
        "occasions": compared.occasions,
        "lists": compared.lists,
        "recorded": compared.recorded,
        "revived": compared.revived,
        "missing": compared.missing,
        "healed": compared.healed,
        "red": len(compared.red),
        "troubles": len(compared.troubles),
    }
