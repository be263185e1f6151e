"""How many pushes a second are stored before they are told ``ok``, and how long a sender waits at 100 a second.

In a real Airflow: the receiver works in its API server, beside scheduler, triggerer and DAG processor. First with
pushes that only ring (Insightly), then with bookings that the planner records for a rule (eTermin).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.figure import Figure, percentile
from benchmarks.pushing import Line, Outcome, as_fast_as_possible, at_a_rate, booking, opportunity, requests
from handoff.ledger.connect import open_ledger_async
from launch.connections import ETERMIN
from launch.laboratory import rule_text, running_airflow
from launch.settings import ETERMIN_WEBHOOK, kept_secrets
from launch.stack import Stack

SECRET = "bench-secret-0123456789"
ACCOUNTS = [f"bench{number}" for number in range(4)]
"""Several, because what one account may push is limited."""
REMINDER = {
    "id": "reminder", "title": "reminder", "source": "etermin", "conn_id": ETERMIN,
    "when": {"hours": 1, "before": "start"}, "steps": [{"step": "klicktipp.tag", "tag": "reminder"}],
}  # fmt: skip
LINES, SECONDS = 48, 10.0
PER_SECOND, PACED_SECONDS = 100.0, 20.0
FIRST_SECONDS, STARTING_SECONDS, RECORDING_SECONDS = 40.0, 120.0, 300.0
"""When Airflow has started, it reads all DAG files and runs all that is scheduled for the first time, at once."""
STORED = text("SELECT count(*) FROM handoff.deliveries WHERE account = ANY(:accounts)")
WAITING = text("SELECT count(*) FROM handoff.deliveries WHERE processed_at IS NULL")
PLANNED = text("SELECT count(*) FROM handoff.batches WHERE rule_id = 'reminder'")


@dataclass(frozen=True, slots=True)
class Measured:
    """What became of one kind of push.

    :param lost: so many were told ``ok`` and are not in the ledger. :param recorded: seconds from the last push until
        the planner had recorded all of them.
    """

    paced: Outcome
    fast: Outcome
    stored: int
    lost: int
    recorded: float


def receiver() -> list[Figure]:
    """Measure the receiver; a push that was told ``ok`` and is not in the ledger makes its figures bad."""
    rules = {"bench": rule_text("bench", "B"), "reminder": json.dumps(REMINDER)}
    with running_airflow(rules, []) as (stack, _):
        for account in ACCOUNTS:
            _connect(stack, account)
        time.sleep(FIRST_SECONDS)
        rung, booked, planned = asyncio.run(_measure(stack))
        words = "; UNHEALTHY" if stack.api.unhealthy() else ""
    recorded = booked.recorded if planned == booked.stored and not words else float("inf")
    note = f"after {booked.stored} bookings, {planned} batches{words}"
    return [
        *_figures("receiver", rung, words),
        *_figures("receiver_booked", booked, words),
        Figure("receiver_recorded", recorded, 10, "s", False, note),
    ]


def _figures(name: str, one: Measured, unhealthy: str) -> list[Figure]:
    bad = bool(one.lost or unhealthy)
    rate = 0.0 if bad else len(one.fast.seconds) / SECONDS
    median, worst = (percentile(one.paced.seconds or [float("inf")], share) * 1000 for share in (0.5, 0.99))
    worst = float("inf") if bad or one.paced.refused else worst
    note = f"{LINES} senders; {one.stored} stored, {one.lost} lost, {one.fast.refused} refused{unhealthy}"
    return [
        Figure(f"{name}_rate", rate, 300, "events/s", True, note),
        Figure(f"{name}_p99", worst, 100, "ms", False, f"at {PER_SECOND:g}/s; median {median:.0f} ms"),
    ]


def _connect(stack: Stack, account: str) -> None:
    connection = {"connection_id": account, "conn_type": "insightly", "password": "bench"}
    stack.api.post("connections", connection | {"extra": f'{{"webhook_secrets": "{SECRET}"}}'})


async def _measure(stack: Stack) -> tuple[Measured, Measured, int]:
    """Return what became of pushes that ring and of bookings, and how many batches the bookings came to."""
    engine, port = open_ledger_async(stack.ledger_url, connections=1), stack.settings.ui_port
    secret = kept_secrets(stack.settings.run)[ETERMIN_WEBHOOK]
    rung = await _push(engine, port, requests(ACCOUNTS, SECRET, opportunity), ACCOUNTS)
    booked = await _push(engine, port, requests([ETERMIN], secret, booking), [ETERMIN])
    async with engine.connect() as connection:
        planned = int((await connection.execute(PLANNED)).scalar_one())
    await engine.dispose()
    return rung, booked, planned


async def _push(engine: AsyncEngine, port: int, pushes: Iterator[bytes], accounts: list[str]) -> Measured:
    await asyncio.wait_for(_first(port, next(pushes)), STARTING_SECONDS)
    paced = await at_a_rate(port, pushes, PER_SECOND, PACED_SECONDS)
    fast = await as_fast_as_possible(port, pushes, LINES, SECONDS)
    recorded = await _recorded(engine)
    async with engine.connect() as connection:
        stored = int((await connection.execute(STORED, {"accounts": accounts})).scalar_one())
    return Measured(paced, fast, stored, fast.accepted + paced.accepted + 1 - stored, recorded)


async def _recorded(engine: AsyncEngine) -> float:
    """Wait until nothing waits for the planner, and return after how many seconds that was."""
    began = time.monotonic()
    while (lasted := time.monotonic() - began) < RECORDING_SECONDS:
        async with engine.connect() as connection:
            if not (await connection.execute(WAITING)).scalar_one():
                return lasted
        await asyncio.sleep(0.1)
    return float("inf")


async def _first(port: int, push: bytes) -> None:
    line = Line(port)
    while not await line.push(push):
        await asyncio.sleep(0.1)
    line.close()
