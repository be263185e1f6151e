"""How many pushes a second are stored before they are told ``ok``, and how long a sender waits at 100 a second.

The server is a process of its own, as Airflow's API server would be with one worker; the senders are another.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import make_url, text

from benchmarks.figure import Figure, percentile
from benchmarks.ledger import fresh_ledger
from benchmarks.pushing import Line, Outcome, as_fast_as_possible, at_a_rate, requests
from handoff.ledger.connect import open_ledger_async

SECRET = "bench-secret-0123456789"
ACCOUNTS = [f"bench{number}" for number in range(4)]
"""Several, because what one account may push is limited."""
LINES, SECONDS = 48, 10.0
PER_SECOND, PACED_SECONDS = 100.0, 20.0
STARTING_SECONDS = 120.0
SERVE = """
import socket, sys, uvicorn
config = uvicorn.Config("web.mounted:app", lifespan="off", log_level="error", access_log=False, timeout_keep_alive=60)
uvicorn.Server(config).run([socket.socket(fileno=int(sys.argv[1]))])
"""
"""Uvicorn's own option for a socket takes it for one without TCP, and answers 40 ms later."""
STORED = text("SELECT count(*) FROM handoff.deliveries")


def receiver() -> list[Figure]:
    """Measure the receiver; a push that was told ``ok`` and is not in the ledger makes both figures bad."""
    with fresh_ledger() as url, _serving(url) as port:
        fast, paced, stored = asyncio.run(_measure(url, port))
    lost = fast.accepted + paced.accepted + 1 - stored
    rate = 0.0 if lost else len(fast.seconds) / SECONDS
    worst = percentile(paced.seconds, 0.99) * 1000 if paced.seconds and not (lost or paced.refused) else float("inf")
    note = f"{LINES} senders; {stored} stored, {lost} lost, {fast.refused} refused"
    median = percentile(paced.seconds, 0.5) * 1000 if paced.seconds else float("inf")
    return [
        Figure("receiver_rate", rate, 300, "events/s", True, note),
        Figure("receiver_p99", worst, 100, "ms", False, f"at {PER_SECOND:g}/s; median {median:.0f} ms"),
    ]


async def _measure(url: str, port: int) -> tuple[Outcome, Outcome, int]:
    pushes = requests(ACCOUNTS, SECRET)
    await asyncio.wait_for(_first(port, next(pushes)), STARTING_SECONDS)
    fast = await as_fast_as_possible(port, pushes, LINES, SECONDS)
    paced = await at_a_rate(port, pushes, PER_SECOND, PACED_SECONDS)
    engine = open_ledger_async(url, connections=1)
    async with engine.connect() as connection:
        stored = int((await connection.execute(STORED)).scalar_one())
    await engine.dispose()
    return fast, paced, stored


async def _first(port: int, push: bytes) -> None:
    line = Line(port)
    while not await line.push(push):
        time.sleep(0.1)
    line.close()


@contextmanager
def _serving(url: str) -> Iterator[int]:
    """Run a server and give its port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        command = [sys.executable, "-c", SERVE, str(listening.fileno())]
        port = int(listening.getsockname()[1])
        process = subprocess.Popen(command, env=_environment(url), pass_fds=[listening.fileno()])
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def _environment(url: str) -> dict[str, str]:
    parsed = make_url(url)
    options = "&".join(f"{name}={value}" for name, value in parsed.query.items())
    ledger = {
        "conn_type": "handoff_ledger", "host": parsed.host, "port": parsed.port, "login": parsed.username,
        "password": parsed.password, "schema": parsed.database, "extra": {"options": options},
    }  # fmt: skip
    account = json.dumps({"conn_type": "insightly", "password": "bench", "extra": {"webhook_secrets": SECRET}})
    return {
        **os.environ,
        "PYTHONWARNINGS": "ignore",
        "AIRFLOW_CONN_HANDOFF_LEDGER": json.dumps(ledger),
        **{f"AIRFLOW_CONN_{name.upper()}": account for name in ACCOUNTS},
    }
