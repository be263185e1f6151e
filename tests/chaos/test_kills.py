"""Processes killed with SIGKILL and lost answers, in a real Airflow: still everybody once."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psutil
import psycopg
import pytest
import requests

from chaos.airflow import kill_airflow
from launch.laboratory import effects, rule_text, running_airflow, webinar
from launch.stack import Stack

pytestmark = pytest.mark.chaos

COUNT, SOON = 1000, 25.0
STEPS = [
    {"step": "klicktipp.contact"},
    {"step": "klicktipp.tag", "tag": "chaos", "create": True},
    {"step": "activecampaign.tag", "tag": "chaos", "create": True, "bulk": "never"},
]


@pytest.fixture
def sending_slowly() -> Iterator[Stack]:
    """Give an Airflow that needs half a minute for a batch, because of the account's limit of 5 calls a second."""
    steps = [{"step": "activecampaign.tag", "tag": "slow", "create": True, "bulk": "never"}]
    webinars = [webinar("S", [{"id": "slow", "start": -3600, "end": SOON}], people=60)]
    with running_airflow({"slow": rule_text("slow", "S", steps=steps)}, webinars) as (stack, _):
        yield stack


@pytest.fixture
def running() -> Iterator[tuple[Stack, float]]:
    rules = {"chaos": rule_text("chaos", "K", steps=STEPS)}
    webinars = [webinar("K", [{"id": "chaos", "start": -3600, "end": SOON}], people=COUNT)]
    with running_airflow(rules, webinars) as (stack, began):
        yield stack, began


def control(stack: Stack, path: str, **body: Any) -> None:
    answer = requests.post(f"{stack.urls.sandbox}/_sandbox/{path}", json=body, timeout=10)
    assert answer.ok, answer.text


def tags(stack: Stack, system: str) -> Counter[str]:
    return Counter(e["contact"] for e in effects(stack) if e["action"] == "tag" and e["system"] == system)


def settled(stack: Stack) -> dict[str, int]:
    with psycopg.connect(stack.ledger_url.replace("+psycopg", "")) as connection:
        rows = connection.execute("SELECT state, count(*) FROM handoff.effects GROUP BY state").fetchall()
    return dict(rows)


def wait_until(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def kill_worker(stack: Stack) -> None:
    """Kill the processes of the task that is delivering, as the kernel would when memory runs out."""
    parts = psutil.Process(stack.pids["scheduler"]).children(recursive=True)
    busy = [p for p in parts if "LocalExecutor" not in " ".join(p.cmdline()) and p.is_running()]
    assert busy, "no task is running"
    for process in busy:
        process.kill()


def kill_part(stack: Stack, name: str) -> None:
    os.kill(stack.pids[name], signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(stack.pids[name]) or name not in alive_parts(stack), 10)
    stack.start_part(name)


def alive_parts(stack: Stack) -> set[str]:
    return {n for n, pid in stack.pids.items() if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"}


def test_a_batch_of_1000_survives_kills_and_lost_answers(running: tuple[Stack, float]) -> None:
    stack, began = running
    control(stack, "limits", system="activecampaign", per_second=None)
    extra = '{"timeout": 5, "requests_per_second": 300, "settling_seconds": 1}'
    stack.api.patch("connections/activecampaign_default?update_mask=extra", {
        "connection_id": "activecampaign_default", "conn_type": "activecampaign", "extra": extra,
    })  # fmt: skip
    for system in ("klicktipp", "activecampaign"):
        control(stack, "faults", system=system, fault="commit_then_drop", probability=0.3, seed=11)
        control(stack, "latency", system=system, seconds=0.02)
    wait_until(lambda: sum(tags(stack, "klicktipp").values()) > 150, SOON + 60)
    kill_worker(stack)
    killed = time.monotonic()
    before = len(effects(stack))
    wait_until(lambda: len(effects(stack)) > before + 20, 45)
    assert time.monotonic() - killed < 30, "delivery went on too late after the worker was killed"
    kill_part(stack, "triggerer")
    kill_part(stack, "scheduler")
    wait_until(lambda: settled(stack) == {"confirmed": COUNT * len(STEPS)}, 300)
    for system in ("klicktipp", "activecampaign"):
        once = tags(stack, system)
        assert len(once) == COUNT
        assert set(once.values()) == {1}


def test_delivery_goes_on_soon_after_a_killed_airflow_is_up_again(sending_slowly: Stack) -> None:
    stack = sending_slowly
    wait_until(lambda: sum(tags(stack, "activecampaign").values()) > 10, SOON + 120)
    kill_airflow(stack)
    before = len(effects(stack))
    stack.start_airflow()
    stack.wait_for(lambda: not stack.api.unhealthy(), "Airflow did not become healthy again")
    up = time.monotonic()
    wait_until(lambda: len(effects(stack)) > before, 180)
    took = time.monotonic() - up
    print(f"delivery went on {took:.1f} s after Airflow was up again")
    assert took < 30
    wait_until(lambda: settled(stack) == {"confirmed": 60}, 300)
    assert set(tags(stack, "activecampaign").values()) == {1}
    assert len(tags(stack, "activecampaign")) == 60
