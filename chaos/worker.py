"""``python -m chaos.worker``: everything of the engine imported once, forked into workers that can be killed.

Reads one order a line (JSON, see :class:`Order`), forks a worker for it and prints its process id; for an operator's
command (see :class:`chaos.commands.Command`) as well. The end of the input ends all of them. A worker does what the
watch DAG and the rules' DAGs do, through the same functions: it records what the source says, is rung for, gathers,
delivers, settles, certifies and sweeps.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from psycopg import Error as DriverError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from chaos.clock import go_wrong
from chaos.commands import Command
from chaos.pace import shorten
from handoff.delivery import sweep
from handoff.delivery.desk import Desk
from handoff.delivery.gate import Gate
from handoff.delivery.lease import kept
from handoff.delivery.moment import first_looks
from handoff.delivery.shift import Shift
from handoff.delivery.sources import Sources
from handoff.delivery.worker import Worker
from handoff.errors import HandoffError
from handoff.ledger import batches, bells, cursors, rule_versions
from handoff.ledger.connect import open_ledger_async
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.rules.rule import Rule
from hooks.accounts import connection_of
from hooks.webinaris import WebinarisClient
from operators.work import open_desk, open_sources

SOURCE, ACCOUNT = "webinaris", "webinaris_default"
LOOK_SECONDS, POLL_SECONDS, REST_SECONDS = 0.1, 0.3, 0.2
SETTLE_HORIZON_SECONDS, STALL_SECONDS = 1.0, 0.7
Job = Callable[[AsyncEngine], Coroutine[Any, Any, None]]
Trouble = (HandoffError, SQLAlchemyError, DriverError, OSError)


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is told.

    :param said: file to which it adds a JSON line for every report it acknowledged, and every stall of its own.
    :param dropped: spans (unix seconds) in which its polls are lost.
    :param reports: webhooks with their moments (unix seconds): ``{"at": ..., "occasion": {...}}``.
    :param jump: ``(since, seconds)`` of its clock, unix seconds. :param until: when it ends itself (unix seconds).
    """

    ledger_url: str
    connections: dict[str, str]
    rules: list[dict[str, Any]]
    said: str
    dropped: list[tuple[float, float]]
    reports: list[dict[str, Any]]
    jump: tuple[float, float] | None
    horizon: float
    sweep_seconds: float
    polls: bool
    until: float

    def carry_out(self) -> None:
        """Be this worker until its end."""
        os.environ.update({f"AIRFLOW_CONN_{name.upper()}": value for name, value in self.connections.items()})
        logging.getLogger("handoff").addHandler(logging.StreamHandler())
        logging.getLogger("handoff").setLevel(logging.INFO)
        if self.jump:
            go_wrong(*self.jump)
        asyncio.run(ChaosWorker(self).run())


class PlainSweep(sweep.Sweep):
    """A sweep whose parts hide nothing that fails: the kit is to see it."""

    @contextmanager
    def attempt(self, part: str) -> Iterator[None]:
        """Let every failure pass."""
        yield


class ChaosWorker:
    """One worker process."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._rules = [Rule.model_validate(rule) for rule in order.rules]
        self._busy: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Work until the order's end; a lost ledger is waited for."""
        jobs: list[Job] = [self._answer, self._listen, self._watch_stalls]
        jobs += [self._poll] if self._order.polls else []
        jobs += [self._sweep] if self._order.sweep_seconds else []
        tasks = [asyncio.create_task(self._keep(job)) for job in jobs]
        await asyncio.sleep(max(0.0, self._order.until - time.time()))
        for task in tasks:
            task.cancel()

    async def _keep(self, job: Job) -> None:
        """Do a job, again and again until it is done, each time with fresh connections."""
        while True:
            engine = open_ledger_async(self._order.ledger_url, connections=6)
            try:
                await job(engine)
                return
            except Trouble as error:
                print(f"{_name(job)}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
                await asyncio.sleep(REST_SECONDS)
            except Exception as error:
                traceback.print_exc()
                self._say({"crashed": f"{_name(job)}: {type(error).__name__}: {error}"})
                await asyncio.sleep(REST_SECONDS)
            finally:
                await engine.dispose()

    async def _poll(self, engine: AsyncEngine) -> None:
        """Record what changed at the source, over and over."""
        async with WebinarisClient.from_connection(ACCOUNT, await connection_of(ACCOUNT)) as client:
            while True:
                now = time.time()
                if not any(begin <= now < end for begin, end in self._order.dropped):
                    await self._record_changes(engine, client)
                await asyncio.sleep(POLL_SECONDS)

    async def _record_changes(self, engine: AsyncEngine, client: WebinarisClient) -> None:
        async with engine.connect() as connection:
            since = await cursors.read(connection, SOURCE, ACCOUNT)
        dates = await client.dates(updated_since=float(since) if since else None)
        await record(engine, dates.occasions, self._rules)
        if dates.cursor:
            async with engine.begin() as connection:
                await cursors.write(connection, SOURCE, ACCOUNT, repr(dates.cursor))

    async def _answer(self, engine: AsyncEngine) -> None:
        """Take the reports as a receiver would; what was not acknowledged is sent again, as senders do."""
        for report in self._order.reports:
            await asyncio.sleep(max(0.0, report["at"] - time.time()))
            await record(engine, [_occasion(report["occasion"])], self._rules)
            self._say({"acknowledged": report["occasion"]})

    async def _listen(self, engine: AsyncEngine) -> None:
        """Start a run of every rule that the bell rings for and that this worker is not at already."""
        while True:
            async with engine.connect() as connection:
                ringing = {(bell.kind, bell.name) for bell in await bells.due(connection, self._order.horizon)}
            for rule in self._rules:
                if ringing & {("batch", rule.id), ("lane", rule.order_group)} and not self._at(rule):
                    self._busy[rule.id] = asyncio.create_task(self._keep(partial(self._serve, rule)))
            await asyncio.sleep(LOOK_SECONDS)

    def _at(self, rule: Rule) -> bool:
        return rule.id in self._busy and not self._busy[rule.id].done()

    async def _serve(self, rule: Rule, engine: AsyncEngine) -> None:
        """Do what one run of the rule's DAG does."""
        owner, gate = f"run/{os.getpid()}/{time.monotonic_ns()}", Gate(engine)
        async with open_sources(engine) as sources:
            async with open_desk(engine) as desk:
                await gate.refresh()
                async with engine.begin() as connection:
                    claimed = await batches.claim(connection, rule.id, owner, horizon=self._order.horizon)
                async with kept(engine, owner):
                    await first_looks(engine, claimed, sources)
                worker = _worker(engine, rule.order_group, desk, gate)
                await Shift(engine, owner, desk, gate, sources, worker).run(claimed)
                async with engine.connect() as connection:
                    groups = await rule_versions.order_groups(connection, rule)
                for group in groups:
                    await _worker(engine, group, desk, gate).run(horizon=SETTLE_HORIZON_SECONDS)
            await sweep.run(self._sweep_of(engine, sources), (sweep.certify,))

    async def _sweep(self, engine: AsyncEngine) -> None:
        async with open_sources(engine) as sources:
            while True:
                await asyncio.sleep(self._order.sweep_seconds)
                await sweep.run(self._sweep_of(engine, sources))

    def _sweep_of(self, engine: AsyncEngine, sources: Sources) -> sweep.Sweep:
        return PlainSweep(engine, self._rules, sources.of, compare_every=timedelta(seconds=1))

    async def _watch_stalls(self, engine: AsyncEngine) -> None:
        """Say when this process, or its ledger, was not let run for so long that its leases may have ended."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
            async with engine.connect() as connection:
                await connection.exec_driver_sql("SELECT 1")
            stalled = time.monotonic() - began - LOOK_SECONDS
            if stalled > STALL_SECONDS:
                self._say({"stalled": stalled})

    def _say(self, what: dict[str, Any]) -> None:
        with Path(self._order.said).open("a", encoding="utf-8") as file:
            file.write(json.dumps(what) + "\n")


def _name(job: Job) -> str:
    return getattr(job, "__name__", "") or "serve"


def _worker(engine: AsyncEngine, group: str, desk: Desk, gate: Gate) -> Worker:
    return Worker(engine, group, f"worker/{os.getpid()}/{time.monotonic_ns()}", desk, gate=gate, in_flight=24)


def _occasion(said: dict[str, Any]) -> Occasion:
    return Occasion(
        source=SOURCE, account=ACCOUNT, key=said["key"], title=said["title"], series=said["series"],
        anchors={name: datetime.fromtimestamp(said[name], UTC) for name in ("start", "end")},
        timezone="Europe/Berlin", cancelled=said["cancelled"], changed=said["changed"],
    )  # fmt: skip


def _become(order: Order | Command, log_path: str) -> None:
    """Be a worker, or carry out a command; never return."""
    status = 1
    try:
        with Path(log_path).open("ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        order.carry_out()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def main() -> None:
    """Fork a worker for every order until the input ends, then end those that are left."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    shorten()
    Command.import_all()
    print("ready", flush=True)
    for line in sys.stdin:
        told = json.loads(line)
        log = told.pop("log")
        order = Command(**told) if "words" in told else Order(**told)
        pid = os.fork()
        if pid == 0:
            _become(order, log)
        print(pid, flush=True)
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
