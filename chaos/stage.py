"""Where stories are played: an embedded PostgreSQL, the sandbox, and workers that can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import requests

from chaos.evidence import Evidence, naming, read_ledger, still_open
from chaos.story import Blow, Fault, Story
from chaos.world import ACCOUNTS, World
from launch import postgres, processes

CHECKOUT = Path(__file__).resolve().parents[1]
TEMPLATE = "chaos_template"
QUIET_SECONDS, LINGER_SECONDS, LOOK_SECONDS = 90.0, 0.4, 0.15
START_SECONDS = 60.0


@dataclass(slots=True)
class _Running:
    """A worker of the story that is being played."""

    process: psutil.Process
    suspended: bool = False


class Stage:
    """One PostgreSQL, one sandbox and one forge of workers; plays one story at a time.

    :param folder: for everything that is written. :param plugins: the engine that is tried.
    """

    def __init__(self, folder: Path, plugins: Path = CHECKOUT / "plugins") -> None:
        self._folder, self._data = folder, folder / "data"
        self._environment = os.environ | {
            "PYTHONPATH": f"{plugins}{os.pathsep}{CHECKOUT}", "AIRFLOW_HOME": str(folder / "airflow"),
            "HANDOFFS_HOME": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1", "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "HANDOFF_PUBLIC_URL": "http://127.0.0.1:9",
        }  # fmt: skip
        self._number = 0
        self._workers: dict[int, _Running] = {}
        self._http = requests.Session()
        self._http.trust_env = False

    def start(self) -> None:
        """Start everything and migrate a ledger that stories copy."""
        self._start_postgres()
        self._sandbox = self._spawn("sandbox", ["-m", "sandbox", "--hold", "--port", "0", "--smtp-port", "0"])
        ports = json.loads(self._read(self._sandbox))
        self._url, self._smtp_port = ports["http"], int(ports["smtp"].rpartition(":")[2])
        with self._admin() as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}".encode())
        self._complete(["-c", f"from handoff.ledger.migrating import migrate; migrate({self._ledger(TEMPLATE)!r})"])
        self._forge = self._spawn("forge", ["-m", "chaos.worker"])
        if self._read(self._forge).strip() != "ready":
            raise RuntimeError("the workers cannot be made")

    def stop(self) -> None:
        """End everything; safe to call twice."""
        for process in (getattr(self, "_forge", None), getattr(self, "_sandbox", None)):
            if process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                # Closes its pipes as well.
                process.communicate()
        self._forge = self._sandbox = None  # type: ignore[assignment]
        self._http.close()
        postgres.stop(self._data)

    def play(self, story: Story) -> Evidence:
        """Play a story to its end and return what is left of it to judge."""
        world = World(story)
        self._number += 1
        self._name = f"story_{self._number}"
        with self._admin() as connection:
            connection.execute(f"CREATE DATABASE {self._name} TEMPLATE {TEMPLATE}".encode())
        self._freeze(story)
        try:
            return self._play(story, world)
        finally:
            self._end_workers()
            with self._admin() as connection:
                connection.execute(f"DROP DATABASE {self._name} WITH (FORCE)".encode())

    def _freeze(self, story: Story) -> None:
        """Freeze from the start what the story's rules say."""
        targets = {step for rule in story.rules if rule.barred == "frozen" for step in rule.steps}
        frozen = sorted({(f"account:{ACCOUNTS[target]}",) for target in targets})
        url = self._ledger(self._name).replace("+psycopg", "")
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            cursor.executemany("INSERT INTO handoff.freezes (scope, reason) VALUES (%s, 'by the story')", frozen)

    def _play(self, story: Story, world: World) -> Evidence:
        scenario = self._folder / "scenario.yaml"
        scenario.write_text(json.dumps(world.scenario()), encoding="utf-8")
        self._post("reset", {})
        zero = float(self._post("start", {"scenario": str(scenario)})["started"])
        for system in ("klicktipp", "activecampaign", "email"):
            self._post("latency", {"system": system, "seconds": story.latency})
        said = self._folder / f"{self._name}.said"
        said.touch()
        for number in range(story.workers):
            self._fork(story, world, zero, number)
        over = threading.Event()
        with ThreadPoolExecutor(2) as hands:
            striking, timing = hands.submit(self._strike, story, world, zero), hands.submit(self._time_sandbox, over)
            try:
                # What is frozen is at rest; it has to be thawed first.
                striking.result()
                left = self._wait_until_quiet(story, zero)
            finally:
                over.set()
        self._end_workers()
        return Evidence(
            zero=zero, ended=time.time() - zero, open=left, ledger=read_ledger(self._ledger(self._name)),
            effects=self._get("effects")["effects"], calls=self._get("calls"),
            named=naming(self._ledger(self._name), story.erased) if story.erased else [],
            said=[json.loads(line) for line in said.read_text(encoding="utf-8").splitlines()], slowest=timing.result(),
        )  # fmt: skip

    def _time_sandbox(self, over: threading.Event) -> float:
        """Return how long the sandbox took at most for an answer that costs nothing, ours to ask included."""
        slowest, began = 0.0, time.monotonic()
        with requests.Session() as http:
            http.trust_env = False
            while not over.wait(LOOK_SECONDS):
                http.get(f"{self._url}/_sandbox/faults", timeout=START_SECONDS)
                slowest = max(slowest, time.monotonic() - began - LOOK_SECONDS)
                began = time.monotonic()
        return slowest

    def _strike(self, story: Story, world: World, zero: float) -> None:
        """Let faults and blows happen at their moments."""
        due: list[tuple[float, int, Fault | Blow, str]] = []
        happens: list[Fault | Blow] = [*story.faults, *story.blows]
        for number, one in enumerate(happens):
            due.append((one.at, number, one, "begin"))
            if isinstance(one, Blow) and one.kind in {"kill", "suspend", "freeze"}:
                due.append((one.at + one.seconds, number, one, "end"))
        for at, _, one, part in sorted(due, key=lambda item: item[:2]):
            time.sleep(max(0.0, zero + at - time.time()))
            if isinstance(one, Fault):
                self._order_fault(one)
            elif one.kind == "repair":
                self._http.delete(f"{self._url}/_sandbox/faults", timeout=10).raise_for_status()
            elif one.kind == "postgres":
                self._kill_postgres()
            elif one.kind in {"kill", "suspend"}:
                self._touch_worker(story, world, zero, one, part)
            elif one.kind in {"freeze", "erase", "rejudge"}:
                self._command(self._words(world, one, part))

    def _words(self, world: World, blow: Blow, part: str) -> list[str]:
        """Return what is typed for a blow."""
        if blow.kind == "freeze":
            return ["freeze", blow.about, "--reason", "by the story"] if part == "begin" else ["thaw", blow.about]
        if blow.kind == "rejudge":
            file = self._folder / f"{blow.about}.yaml"
            file.write_text(json.dumps(world.rule_anew(blow.about)), encoding="utf-8")
            return ["rejudge", blow.about, str(file), "--apply"]
        return [blow.kind, blow.about]

    def _command(self, words: list[str]) -> None:
        """Carry out an operator's command and wait for its end."""
        order = {"ledger_url": self._ledger(self._name), "words": words}
        with suppress(psutil.NoSuchProcess):
            self._forked(order, "command").wait(START_SECONDS)

    def _touch_worker(self, story: Story, world: World, zero: float, blow: Blow, part: str) -> None:
        worker = self._workers.get(blow.worker)
        if blow.kind == "kill" and part == "begin":
            self._kill(blow.worker)
        elif blow.kind == "kill" and worker is None:
            self._fork(story, world, zero, blow.worker)
        elif blow.kind == "suspend" and worker is not None:
            with suppress(psutil.NoSuchProcess):
                worker.process.suspend() if part == "begin" else worker.process.resume()

    def _order_fault(self, fault: Fault) -> None:
        order: dict[str, Any] = {
            "system": fault.system, "fault": fault.fault, "count": fault.count, "probability": fault.probability,
            "seed": fault.seed, "changing_only": fault.changing_only, "path": fault.path,
        }  # fmt: skip
        order |= {name: value for name in ("retry_after", "seconds") if (value := getattr(fault, name)) is not None}
        self._post("faults", order)

    def _fork(self, story: Story, world: World, zero: float, number: int) -> None:
        """Start a worker as the story wants its ``number``-th to be."""
        jump = next((blow for blow in story.blows if blow.kind == "jump" and blow.worker == number), None)
        mine = [report for n, report in enumerate(world.reports(zero)) if n % story.workers == number]
        order = {
            "ledger_url": self._ledger(self._name),
            "connections": world.connections(self._url, self._smtp_port),
            "rules": world.rules(),
            "dropped": [(zero + begin, zero + end) for begin, end in story.dropped],
            "reports": mine,
            "jump": (zero + jump.at, jump.seconds) if jump else None,
            "horizon": 1.5,
            "sweep_seconds": 1.5 if number == 0 and story.sweep else 0.0,
            "polls": story.polls,
            "until": time.time() + 4 * QUIET_SECONDS,
        }
        self._workers[number] = _Running(self._forked(order, str(number)))

    def _forked(self, order: dict[str, Any], name: str) -> psutil.Process:
        """Have the forge fork a process for an order. :raises psutil.NoSuchProcess: it has ended already."""
        files = {"said": f"{self._name}.said", "log": f"{self._name}.{name}.log"}
        order |= {kind: str(self._folder / file) for kind, file in files.items()}
        self._forge.stdin.write(json.dumps(order) + "\n")  # type: ignore[union-attr]
        self._forge.stdin.flush()  # type: ignore[union-attr]
        return psutil.Process(int(self._read(self._forge)))

    def _kill(self, number: int) -> None:
        worker = self._workers.pop(number, None)
        if worker is not None:
            with suppress(psutil.NoSuchProcess):
                worker.process.kill()

    def _end_workers(self) -> None:
        for number in list(self._workers):
            self._kill(number)

    def _wait_until_quiet(self, story: Story, zero: float) -> list[str]:
        """Wait until nothing is left to do; return what is, when patience ends."""
        time.sleep(max(0.0, zero + story.last_moment + LINGER_SECONDS - time.time()))
        deadline, since, left = time.monotonic() + QUIET_SECONDS, None, ["the ledger cannot be read"]
        while time.monotonic() < deadline:
            with suppress(psycopg.Error):
                left = still_open(self._ledger(self._name), zero, story)
                if left:
                    since = None
                elif since is None:
                    since = time.monotonic()
                elif time.monotonic() - since >= LINGER_SECONDS:
                    return []
            time.sleep(LOOK_SECONDS)
        return left or ["it did not stay quiet"]

    def _start_postgres(self) -> None:
        """Start the server, also when a busy machine needs longer for it than one attempt is given."""
        deadline = time.monotonic() + 2 * START_SECONDS
        while True:
            try:
                self._socket = self._complete(postgres.command(self._data)[1:]).strip().split("\n")[-1]
                return
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise

    def _kill_postgres(self) -> None:
        """Kill the server and all its processes, then start it again on what is on disk."""
        server = postgres.postmaster(self._data)
        if server is not None:
            parts = [server, *server.children(recursive=True)]
            for part in parts:
                with suppress(psutil.NoSuchProcess):
                    part.kill()
            psutil.wait_procs(parts, timeout=START_SECONDS)
        self._start_postgres()

    @contextmanager
    def _admin(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(host=self._socket, user="postgres", dbname="postgres", autocommit=True) as connection:
            yield connection

    def _ledger(self, name: str) -> str:
        return postgres.url(self._socket, name)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._http.post(f"{self._url}/_sandbox/{path}", json=body, timeout=10)
        answer.raise_for_status()
        return dict(answer.json())

    def _get(self, path: str) -> dict[str, Any]:
        return dict(self._http.get(f"{self._url}/_sandbox/{path}", timeout=10).json())

    def _spawn(self, name: str, arguments: list[str]) -> subprocess.Popen[str]:
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=self._environment, cwd=CHECKOUT, start_new_session=True,
            )  # fmt: skip

    def _complete(self, arguments: list[str]) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], env=self._environment, cwd=CHECKOUT, capture_output=True, text=True,
            timeout=START_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments[:2])} failed:\n{done.stderr[-2000:]}")
        return done.stdout

    def _read(self, process: subprocess.Popen[str]) -> str:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            logs = "".join(processes.tail(self._folder / f"{name}.log") for name in ("sandbox", "forge"))
            raise RuntimeError(f"a process of the stage ended by itself:\n{logs}")
        return line


@contextmanager
def open_stage(plugins: Path = CHECKOUT / "plugins") -> Iterator[Stage]:
    """Give a stage in a temporary folder, and remove both afterwards."""
    with tempfile.TemporaryDirectory(prefix="handoff-chaos-", ignore_cleanup_errors=True) as folder:
        # The embedded server is another user's process when root runs this.
        Path(folder).chmod(0o755)
        stage = Stage(Path(folder), plugins)
        try:
            stage.start()
            yield stage
        finally:
            stage.stop()
