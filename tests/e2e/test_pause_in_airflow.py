"""Stopping what is in flight in a real Airflow: a paused DAG and a freeze bite within seconds and lose nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import requests

from launch.laboratory import effects, rule_text, running_airflow, webinar
from launch.stack import Stack

pytestmark = pytest.mark.e2e

PEOPLE, SOON = 400, 20.0
BITES_SECONDS = 5.0


@pytest.fixture(scope="module")
def running() -> Iterator[Stack]:
    # One after the other, each call taking a while: a batch that is in flight for longer than the tests take.
    rule = rule_text("slow", "S", order="strict", steps=[{"step": "klicktipp.tag", "tag": "slow"}])
    webinars = [webinar("S", [{"id": "slow", "start": -3600, "end": SOON}], people=PEOPLE)]
    with running_airflow({"slow": rule}, webinars) as (stack, _):
        order = {"system": "klicktipp", "seconds": 0.25}
        requests.post(f"{stack.urls.sandbox}/_sandbox/latency", json=order, timeout=10).raise_for_status()
        yield stack


def tagged(stack: Stack) -> list[str]:
    return [effect["contact"] for effect in effects(stack) if effect["action"] == "tag"]


def goes_on(stack: Stack) -> None:
    """Wait until three more contacts were reached; how soon is up to Airflow's triggerer, and nothing is promised."""
    before, deadline = len(tagged(stack)), time.monotonic() + 90.0
    while len(tagged(stack)) < before + 3:
        assert time.monotonic() < deadline, "it does not go on"
        time.sleep(0.2)


def stands_still(stack: Stack, stop: Callable[[], object]) -> None:
    """Stop it, and see that nothing goes out from five seconds later on."""
    stop()
    time.sleep(BITES_SECONDS)
    before = len(tagged(stack))
    time.sleep(4.0)
    assert len(tagged(stack)) <= before, "it goes on"


def command(stack: Stack, *words: str) -> None:
    environment = os.environ | {"HANDOFF_LEDGER_URL": stack.ledger_url}
    subprocess.run([sys.executable, "-m", "handoff.cli", *words], env=environment, check=True, timeout=60)


def test_a_paused_dag_stands_still_in_the_middle_of_its_batch_and_goes_on(running: Stack) -> None:
    goes_on(running)
    stands_still(running, lambda: running.api.patch("dags/handoff_slow?update_mask=is_paused", {"is_paused": True}))
    running.api.patch("dags/handoff_slow?update_mask=is_paused", {"is_paused": False})
    # Else Airflow watches the bell again at its next reading, within half a minute.
    running.api.put(f"parseDagFile/{running.api.get('dags/handoff_slow')['file_token']}")
    goes_on(running)


def test_a_freeze_stands_still_in_the_middle_of_a_batch_and_the_thaw_goes_on(running: Stack) -> None:
    goes_on(running)
    stands_still(running, lambda: command(running, "freeze", "rule:slow", "--reason", "wrong template"))
    command(running, "thaw", "rule:slow")
    goes_on(running)


def test_everybody_is_reached_once_in_the_end(running: Stack) -> None:
    requests.post(f"{running.urls.sandbox}/_sandbox/latency", json={"seconds": 0.0}, timeout=10).raise_for_status()
    deadline = time.monotonic() + 120
    while len(set(tagged(running))) < PEOPLE:
        assert time.monotonic() < deadline, f"{len(set(tagged(running)))} of {PEOPLE} were reached"
        time.sleep(0.5)
    assert set(Counter(tagged(running)).values()) == {1}
