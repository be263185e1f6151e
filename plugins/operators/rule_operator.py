"""What the four tasks of a rule's DAG have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseAsyncOperator

from hooks.ledger import LedgerHook


class RuleOperator(BaseAsyncOperator):
    """A task of a rule.

    :param rule: the rule as plain JSON, shown in *Rendered Template* as it was when the run began.
    :param ledger_conn_id: connection of type ``handoff_ledger``.
    """

    template_fields: Sequence[str] = ("rule", "ledger_conn_id")
    template_fields_renderers = {"rule": "json"}  # noqa: RUF012

    def __init__(
        self, *, rule: dict[str, Any], ledger_conn_id: str = LedgerHook.default_conn_name, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rule, self.ledger_conn_id = rule, ledger_conn_id
