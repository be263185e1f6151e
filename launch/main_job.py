"""The main job, watched: the sandbox's world begins, and what is owed arrives."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from handoff.ledger.connect import open_ledger
from handoff.rule import Rule
from handoff.rule_file import load_folder
from handoff.rule_page import dag_id
from launch.comparison import Comparison, compare
from launch.expectation import Wanted, expected
from launch.settings import LaunchError
from launch.stack import Stack, TookTooLong
from launch.verdicts import Ledger, LeftOut
from launch.world import ACCOUNT, TrueDate, true_dates

HORIZON = timedelta(minutes=10)
"""What is due later than this after the beginning is not waited for."""
PATIENCE_SECONDS, PATIENCE_SECONDS_EACH = 60.0, 0.1
SETTLING_SECONDS = 2.0
"""How long after the last arrival a doubled effect may still show."""
REQUEST_SECONDS = 10.0
PROGRESS_SECONDS = 2.0
DAGS_SECONDS = 90.0
WATCH = "watch_webinaris"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the main job.

    :param later: owed, but due after what is waited for.
    :param trouble: one line for each effect that the ledger does not call confirmed.
    """

    comparison: Comparison
    later: list[Wanted]
    left_out: list[LeftOut]
    trouble: list[str]
    paused: list[str]
    problems: list[str]


class MainJob:
    """Lets the world of a started stack begin and waits for everything that it owes."""

    def __init__(self, stack: Stack, progress: Callable[[str], None] = lambda _: None) -> None:
        self._stack, self._progress = stack, progress
        self._session = requests.Session()
        self._session.trust_env = False
        self._arrived, self._told = 0, 0.0

    def run(self) -> Outcome:
        """Return when everything has arrived, or when it is too late for it.

        :raises LaunchError: when Airflow does not show the DAGs, or something ends by itself.
        """
        files, problems = load_folder(self._stack.settings.home / "include" / "handoffs")
        paused = self._await_dags([dag_id(file.rule) for file in files])
        rules = [file.rule for file in files if dag_id(file.rule) not in paused]
        began = float(self._call("POST", "start")["started"])
        self._progress("the webinars' world begins")
        dates = list(true_dates(self._stack.scenario, began))
        now, later = self._owed(rules, dates, began)
        ledger_engine = open_ledger(self._stack.ledger_url)
        try:
            ledger = Ledger(ledger_engine, [date.model.id for date in dates])
            comparison = self._await(now, ledger, max((date.presence_lag for date in dates), default=0.0))
            return Outcome(
                comparison, later, ledger.left_out(), ledger.trouble(), sorted(paused), [str(one) for one in problems]
            )
        finally:
            ledger_engine.dispose()

    def _await_dags(self, names: list[str]) -> set[str]:
        """Wait until Airflow knows all DAGs; return those among them that are paused."""
        known: dict[str, bool] = {}

        def complete() -> bool:
            try:
                known.update(self._stack.api.dags())
            except requests.RequestException:
                return False
            return known.keys() >= {*names, WATCH}

        try:
            self._stack.wait_for(complete, "", DAGS_SECONDS)
        except TookTooLong:
            lacking = ", ".join(sorted({*names, WATCH} - known.keys()))
            raise LaunchError(f"Airflow does not show these DAGs: {lacking}; see {self._stack.urls.ui}") from None
        if known[WATCH]:
            raise LaunchError(f"the DAG {WATCH} is paused, so nothing is heard; unpause it at {self._stack.urls.ui}")
        self._progress(f"{len(names)} rules wait for their webinars")
        return {name for name in names if known[name]}

    @staticmethod
    def _owed(rules: list[Rule], dates: list[TrueDate], began: float) -> tuple[list[Wanted], list[Wanted]]:
        until = datetime.fromtimestamp(began, UTC) + HORIZON
        wanted = expected([rule for rule in rules if rule.conn_id == ACCOUNT], dates)
        return [one for one in wanted if one.due_at <= until], [one for one in wanted if one.due_at > until]

    def _await(self, wanted: list[Wanted], ledger: Ledger, lag: float) -> Comparison:
        last = max([one.due_at for one in wanted], default=datetime.now(UTC))
        left = max(0.0, (last - datetime.now(UTC)).total_seconds())
        words = f"{len(wanted)} effects are owed, the last of them is due in {left:.0f} s"
        self._progress(words if wanted else "nothing is owed in this world")
        seconds = left + lag + PATIENCE_SECONDS + len(wanted) * PATIENCE_SECONDS_EACH
        try:
            if wanted:
                self._stack.wait_for(lambda: self._complete(wanted, ledger), "", seconds)
        except TookTooLong:
            self._progress("not everything has arrived in time")
        settled = time.monotonic() + SETTLING_SECONDS
        self._stack.wait_for(lambda: time.monotonic() >= settled, "")
        return self._compare(wanted)

    def _complete(self, wanted: list[Wanted], ledger: Ledger) -> bool:
        comparison = self._compare(wanted)
        if comparison.delivered > self._arrived and time.monotonic() - self._told >= PROGRESS_SECONDS:
            self._arrived, self._told = comparison.delivered, time.monotonic()
            self._progress(f"{comparison.delivered} of {len(wanted)} effects have arrived")
        return not comparison.missing and ledger.open_effects() == 0

    def _compare(self, wanted: list[Wanted]) -> Comparison:
        return compare(wanted, self._call("GET", "effects")["effects"])

    def _call(self, method: str, path: str) -> dict[str, Any]:
        url = f"{self._stack.urls.sandbox}/_sandbox/{path}"
        try:
            response = self._session.request(method, url, timeout=REQUEST_SECONDS)
            response.raise_for_status()
            answer: dict[str, Any] = response.json()
        except requests.RequestException as error:
            self._stack.check()
            raise LaunchError(f"the sandbox does not answer {method} {url}: {type(error).__name__}") from error
        return answer
