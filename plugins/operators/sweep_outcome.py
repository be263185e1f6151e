"""What a sweep ends with: green, or red with all that failed in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from handoff.delivery.sweep import SweepFailed, check


class SweepOutcomeOperator(BaseOperator):
    """Fails when parts of the sweep failed, and names them all; the sweep itself has done the rest by then.

    :param swept: what the sweep's task returned.
    """

    template_fields: Sequence[str] = ("swept",)

    def __init__(self, *, swept: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.swept = swept

    def execute(self, context: Context) -> None:
        """Fail, without another try: the next sweep does it all again."""
        try:
            check(self.swept["failed"])
        except SweepFailed as error:
            raise AirflowFailException(str(error)) from None
