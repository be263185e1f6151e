"""Stories in a real Airflow, whose processes are killed: a handful, because each takes a minute or two."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import psutil
import psycopg
import requests

from chaos.author import Author, after_registration
from chaos.case import CRASHED, Broken
from chaos.evidence import Evidence, read_ledger, still_open
from chaos.judge import judge
from chaos.story import Blow, Date, Fault, Plan, RuleLine, Story
from chaos.world import World
from launch import postgres, processes
from launch.laboratory import effects, running_airflow
from launch.settings import CHECKOUT
from launch.stack import PARTS, Stack

SOON, PEOPLE = 25.0, 60
QUIET_SECONDS, START_SECONDS = 240.0, 120.0
VICTIMS = ("airflow", "worker", "postgres", *PARTS)
IN_ONE_STORY = 3


@dataclass(frozen=True, slots=True)
class Kill:
    """A part of Airflow, or the database, killed at a moment (seconds of the story)."""

    at: float
    part: str


class AirflowStory:
    """A story and the parts of Airflow that are killed in it, made from a seed."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)
        author = Author(seed)
        entries = tuple(entry for number in range(PEOPLE // 10) for entry in author.entries(number, 120.0))
        start = SOON - 120.0
        date = Date("d0", "A", (Plan(0.0, start, SOON),), tuple(after_registration(one, start) for one in entries))
        rules = (
            RuleLine("r0", "A", "online", "end", 0, ("kt_tag", "ac", "mail")),
            RuleLine("r1", "A", "not_online", "end", 0, ("kt_tag", "ac")),
        )
        faults = tuple(
            Fault(0.0, system, "commit_then_drop", 8, 0.2, seed) for system in ("klicktipp", "activecampaign")
        )
        moments = sorted(SOON + dice.uniform(-8.0, 4.0) for _ in range(IN_ONE_STORY))
        # In turn, so that three seeds that follow each other kill everything once, and every fiftieth seed as well.
        victims = [VICTIMS[(IN_ONE_STORY * seed + number) % len(VICTIMS)] for number in range(IN_ONE_STORY)]
        dice.shuffle(victims)
        self.kills = tuple(Kill(at, part) for at, part in zip(moments, victims, strict=True))
        # What is killed here is not a worker of ours; the judge has to know that mails may be doubtful.
        self.story = Story(seed, (date,), rules, faults, (Blow(SOON, "kill"),), settling=1.0, latency=0.05)


def play_in_airflow(played: AirflowStory) -> list[Broken]:
    """Play the story and return what it broke; also that Airflow could not be started again."""
    try:
        return _play(played)
    except Exception as error:
        return [Broken(6, f"{CRASHED}: {type(error).__name__}: {error}")]


def _play(played: AirflowStory) -> list[Broken]:
    story, world = played.story, World(played.story)
    rules = {rule["id"]: json.dumps(rule) for rule in world.rules()}
    with running_airflow(rules, world.scenario()["webinars"]) as (stack, zero):
        # A run gives its dates ids that no earlier one had.
        named = stack.scenario.webinars[0].dates[0].id
        story = replace(story, dates=(replace(story.dates[0], id=named),))
        _prepare(stack, story)
        for kill in played.kills:
            time.sleep(max(0.0, zero + kill.at - time.time()))
            _kill(stack, kill.part)
        left = _wait_until_quiet(stack, story, zero)
        calls = requests.get(f"{stack.urls.sandbox}/_sandbox/calls", timeout=10).json()
        ledger = read_ledger(stack.ledger_url)
        return judge(story, Evidence(zero, time.time() - zero, left, ledger, effects(stack), calls, []))


def _prepare(stack: Stack, story: Story) -> None:
    """Order the story's faults, and lift the limit that would make it long."""
    _order(stack, "limits", system="activecampaign", per_second=None)
    extra = json.dumps({"timeout": 5, "requests_per_second": 300, "settling_seconds": story.settling})
    stack.api.patch("connections/activecampaign_default?update_mask=extra", {
        "connection_id": "activecampaign_default", "conn_type": "activecampaign", "extra": extra,
    })  # fmt: skip
    for system in ("klicktipp", "activecampaign"):
        _order(stack, "latency", system=system, seconds=story.latency)
    for fault in story.faults:
        order = {"system": fault.system, "fault": fault.fault, "count": fault.count, "probability": fault.probability}
        _order(stack, "faults", **order, seed=fault.seed)


def _order(stack: Stack, path: str, **body: Any) -> None:
    requests.post(f"{stack.urls.sandbox}/_sandbox/{path}", json=body, timeout=10).raise_for_status()


def _kill(stack: Stack, part: str) -> None:
    """Kill a part with all its processes; it is started again at once, except the workers of a killed task."""
    if part == "airflow":
        kill_airflow(stack)
        stack.start_airflow()
        _wait_until(lambda: all((stack.settings.pids / one).exists() for one in PARTS), "Airflow did not start again")
        return
    if part == "postgres":
        victims = _tree(stack.pids.get("postgres"))
    elif part == "worker":
        # What the scheduler started and what is no executor of it is a task that runs.
        tasks = _tree(stack.pids.get("scheduler"))[1:]
        victims = [task for task in tasks if "LocalExecutor" not in " ".join(_command(task))]
    else:
        victims = _tree(stack.pids.get(part))
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    psutil.wait_procs(victims, timeout=15)
    if part == "postgres":
        _start_postgres(stack)
    _restart_the_dead(stack)


def _start_postgres(stack: Stack) -> None:
    """Start the server again; one attempt is given ten seconds, which a busy machine may exceed."""
    command = postgres.command(stack.settings.database)

    def started() -> bool:
        run = subprocess.run(command, cwd=CHECKOUT, env=stack.environment, capture_output=True, check=False)
        return run.returncode == 0

    _wait_until(started, "PostgreSQL did not start again")


def kill_airflow(stack: Stack) -> None:
    """Kill Airflow with all its parts and tasks at once, as when its machine loses power; the database stays."""
    pids = stack.pids
    victims = processes.members(pids[name] for name in ("airflow", *PARTS) if name in pids)
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    psutil.wait_procs(victims, timeout=15)


def _wait_until(done: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.2)


def _tree(pid: int | None) -> list[psutil.Process]:
    try:
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)] if pid else []
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _restart_the_dead(stack: Stack) -> None:
    """Do what a supervisor does: start again what has ended, also what the database took with it."""
    for part in PARTS:
        pid = stack.pids.get(part)
        if pid is None or not processes.alive(pid):
            (stack.settings.pids / part).unlink(missing_ok=True)
            stack.start_part(part)


def _wait_until_quiet(stack: Stack, story: Story, zero: float) -> list[str]:
    time.sleep(max(0.0, zero + SOON + 2 - time.time()))
    deadline, left = time.monotonic() + QUIET_SECONDS, ["the ledger cannot be read"]
    while time.monotonic() < deadline:
        with suppress(psycopg.Error):
            left = still_open(stack.ledger_url, zero, story)
            if not left:
                return []
        _restart_the_dead(stack)
        time.sleep(1.0)
    return left
