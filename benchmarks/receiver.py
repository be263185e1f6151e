"""How many pushes a second are stored before they are told ``ok``, and how long a sender waits at 100 a second.

In a real Airflow: the receiver works in its API server, beside scheduler, triggerer and DAG processor.
"""

from __future__ import annotations

import asyncio
import time

from sqlalchemy import text

from benchmarks.figure import Figure, percentile
from benchmarks.pushing import Line, Outcome, as_fast_as_possible, at_a_rate, requests
from handoff.ledger.connect import open_ledger_async
from launch.laboratory import rule_text, running_airflow
from launch.stack import Stack

SECRET = "bench-secret-0123456789"
ACCOUNTS = [f"bench{number}" for number in range(4)]
"""Several, because what one account may push is limited."""
LINES, SECONDS = 48, 10.0
PER_SECOND, PACED_SECONDS = 100.0, 20.0
FIRST_SECONDS, STARTING_SECONDS = 40.0, 120.0
"""When Airflow has started, it reads all DAG files and runs all that is scheduled for the first time, at once."""
STORED = text("SELECT count(*) FROM handoff.deliveries WHERE account = ANY(:accounts)")


def receiver() -> list[Figure]:
    """Measure the receiver; a push that was told ``ok`` and is not in the ledger makes both figures bad."""
    with running_airflow({"bench": rule_text("bench", "B")}, []) as (stack, _):
        for account in ACCOUNTS:
            _connect(stack, account)
        time.sleep(FIRST_SECONDS)
        fast, paced, stored = asyncio.run(_measure(stack.ledger_url, stack.settings.ui_port))
        unhealthy = stack.api.unhealthy()
    lost = fast.accepted + paced.accepted + 1 - stored
    bad = bool(lost or unhealthy)
    rate = 0.0 if bad else len(fast.seconds) / SECONDS
    worst = percentile(paced.seconds, 0.99) * 1000 if paced.seconds and not (bad or paced.refused) else float("inf")
    note = f"{LINES} senders; {stored} stored, {lost} lost, {fast.refused} refused{'; UNHEALTHY' if unhealthy else ''}"
    median = percentile(paced.seconds, 0.5) * 1000 if paced.seconds else float("inf")
    return [
        Figure("receiver_rate", rate, 300, "events/s", True, note),
        Figure("receiver_p99", worst, 100, "ms", False, f"at {PER_SECOND:g}/s; median {median:.0f} ms"),
    ]


def _connect(stack: Stack, account: str) -> None:
    connection = {"connection_id": account, "conn_type": "insightly", "password": "bench"}
    stack.api.post("connections", connection | {"extra": f'{{"webhook_secrets": "{SECRET}"}}'})


async def _measure(url: str, port: int) -> tuple[Outcome, Outcome, int]:
    pushes = requests(ACCOUNTS, SECRET)
    await asyncio.wait_for(_first(port, next(pushes)), STARTING_SECONDS)
    paced = await at_a_rate(port, pushes, PER_SECOND, PACED_SECONDS)
    fast = await as_fast_as_possible(port, pushes, LINES, SECONDS)
    engine = open_ledger_async(url, connections=1)
    async with engine.connect() as connection:
        stored = int((await connection.execute(STORED, {"accounts": ACCOUNTS})).scalar_one())
    await engine.dispose()
    return fast, paced, stored


async def _first(port: int, push: bytes) -> None:
    line = Line(port)
    while not await line.push(push):
        time.sleep(0.1)
    line.close()
