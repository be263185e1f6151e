"""The main job, watched: the sandbox's world begins, what is owed arrives, and who is asked answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from handoff.ledger.connect import open_ledger
from handoff.rules.file import load_folder
from handoff.rules.page import dag_id
from handoff.rules.rule import Rule
from launch import appointments, records
from launch.answers import true_answer
from launch.closed import closed
from launch.comparison import Comparison, compare
from launch.customer import Answered, Customers
from launch.expectation import Wanted
from launch.notices import customers
from launch.occasions import moment_of
from launch.owed import Owed
from launch.reminders import Reminder, reminders
from launch.settings import LaunchError
from launch.stack import Stack, TookTooLong
from launch.verdicts import Ledger, LeftOut
from launch.world import true_occasions

HORIZON = timedelta(minutes=10)
"""What is due later than this after the beginning is not waited for."""
PATIENCE_SECONDS, PATIENCE_SECONDS_EACH = 60.0, 0.1
SETTLING_SECONDS = 2.0
"""How long after the last arrival a doubled effect may still show."""
REQUEST_SECONDS = 10.0
PROGRESS_SECONDS = 2.0
DAGS_SECONDS = 90.0
WATCHES = {"webinaris": "watch_webinaris", "insightly": "watch_insightly", "etermin": "watch_etermin"}
"""By source, the DAG that hears of what happens in the sandbox."""
POLLED = {records.SOURCE: records.POLL_SECONDS, appointments.SOURCE: appointments.POLL_SECONDS}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the main job.

    :param later: owed, but due after what is waited for.
    :param trouble: one line for each effect that the ledger does not call confirmed.
    :param answers: what those who were asked answered. :param unanswered: why somebody could not.
    :param reminders: what became of reminders of appointments.
    """

    comparison: Comparison
    later: list[Wanted]
    left_out: list[LeftOut]
    trouble: list[str]
    paused: list[str]
    problems: list[str]
    answers: list[Answered]
    unanswered: list[str]
    reminders: list[Reminder]

    @property
    def exact(self) -> bool:
        """Whether everything took place exactly once and nothing else did."""
        return self.comparison.exact and not self.problems and not self.unanswered


class MainJob:
    """Lets the world of a started stack begin and waits for everything that it owes."""

    def __init__(self, stack: Stack, progress: Callable[[str], None] = lambda _: None) -> None:
        self._stack, self._progress = stack, progress
        self._session = requests.Session()
        self._session.trust_env = False
        self._customers = Customers(stack.scenario, stack.urls.mails)
        self._arrived, self._told = 0, 0.0

    def run(self) -> Outcome:
        """Return when everything has arrived, or when it is too late for it.

        :raises LaunchError: when Airflow does not show the DAGs, or something ends by itself.
        """
        files, problems = load_folder(self._stack.settings.home / "include" / "handoffs")
        paused = self._await_dags([file.rule for file in files])
        rules = [file.rule for file in files if dag_id(file.rule) not in paused]
        began = float(self._call("POST", "start")["started"])
        self._progress("the sandbox's world begins")
        occasions = list(true_occasions(self._stack.scenario, began))
        world = self._stack.scenario
        owed = Owed(rules, customers(world), closed(world), moment_of(began) + HORIZON)
        owed.add(occasions)
        engine = open_ledger(self._stack.ledger_url)
        try:
            ledger = Ledger(engine, {one.plans[0].occasion.key for one in occasions})
            comparison = self._await(owed, ledger)
            return Outcome(
                comparison, owed.later, ledger.left_out(), ledger.trouble(), sorted(paused), list(map(str, problems)),
                list(self._customers.answers.values()), list(self._customers.troubles.values()),
                list(reminders(rules, occasions)),
            )  # fmt: skip
        finally:
            self._customers.close()
            engine.dispose()

    def _await_dags(self, rules: Iterable[Rule]) -> set[str]:
        """Wait until Airflow knows all DAGs; return those of rules that are paused."""
        names = {dag_id(rule): rule for rule in rules}
        watches = {WATCHES["webinaris"]} | {WATCHES[rule.source] for rule in names.values() if _is_watched(rule)}
        known: dict[str, bool] = {}

        def complete() -> bool:
            try:
                known.update(self._stack.api.dags())
            except requests.RequestException:
                return False
            return known.keys() >= {*names, *watches}

        try:
            self._stack.wait_for(complete, "", DAGS_SECONDS)
        except TookTooLong:
            lacking = ", ".join(sorted({*names, *watches} - known.keys()))
            raise LaunchError(f"Airflow does not show these DAGs: {lacking}; see {self._stack.urls.ui}") from None
        for watch in sorted(watches):
            if known[watch]:
                words = f"the DAG {watch} is paused, so nothing is heard; unpause it at {self._stack.urls.ui}"
                raise LaunchError(words)
        self._progress(f"{len(names)} rules wait for something to happen")
        return {name for name in names if known[name]}

    def _await(self, owed: Owed, ledger: Ledger) -> Comparison:
        last = max([one.due_at for one in owed.now], default=datetime.now(UTC))
        left = max(0.0, (last - datetime.now(UTC)).total_seconds())
        words = f"{len(owed.now)} effects are owed, the last of them is due in {left:.0f} s"
        self._progress(words if owed.now else "nothing is owed in this world")
        try:
            if owed.now:
                self._stack.wait_for(lambda: self._complete(owed, ledger), "", left + self._patience(owed.now))
        except TookTooLong:
            self._progress("not everything has arrived in time")
        settled = time.monotonic() + SETTLING_SECONDS
        self._stack.wait_for(lambda: time.monotonic() >= settled, "")
        return compare(owed.now, self._journal())

    def _patience(self, wanted: list[Wanted]) -> float:
        """Return how many seconds after the last moment to wait, with the time in which things are heard of."""
        lag = max((webinar.presence_lag for webinar in self._stack.scenario.webinars), default=0.0)
        lag = max([lag, *(POLLED.get(one.occasion.source, 0.0) for one in wanted)])
        answers = self._customers.patience() + PATIENCE_SECONDS if any(one.step.asks for one in wanted) else 0.0
        return lag + PATIENCE_SECONDS + len(wanted) * PATIENCE_SECONDS_EACH + answers

    def _complete(self, owed: Owed, ledger: Ledger) -> bool:
        """Let those answer who were asked; tell whether nothing is left to come."""
        journal = self._journal()
        for answered in self._customers.answer(owed.now, journal):
            self._heed(answered, owed, ledger)
        comparison = compare(owed.now, journal)
        if comparison.delivered > self._arrived and time.monotonic() - self._told >= PROGRESS_SECONDS:
            self._arrived, self._told = comparison.delivered, time.monotonic()
            self._progress(f"{comparison.delivered} of {len(owed.now)} effects have arrived")
        return not comparison.missing and not self._customers.troubles and ledger.open_effects() == 0

    def _heed(self, answered: Answered, owed: Owed, ledger: Ledger) -> None:
        """Add what is owed because of an answer."""
        self._progress(f"{answered.asked.contact} answers: {answered.reply.rating} of 10")
        if not answered.stored:
            return
        key = ledger.answer_key(answered.asked.trace[2])
        if key is None:
            raise LaunchError("the survey's page took an answer, but the ledger does not have it")
        owed.add([true_answer(answered, key)])

    def _journal(self) -> list[dict[str, Any]]:
        return list(self._call("GET", "effects")["effects"])

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


def _is_watched(rule: Rule) -> bool:
    return rule.source in WATCHES and rule.conn_id == f"{rule.source}_default"
