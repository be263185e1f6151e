"""Everything that runs: PostgreSQL, the sandbox and Airflow, started and ended as one."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import requests

from launch import notices, postgres, processes
from launch.airflow_api import AirflowApi
from launch.airflow_environment import airflow_environment, base_environment
from launch.connections import connections, etermin_push, insightly_webhook, push_url
from launch.ports import ports_of, refuse_busy, with_free_ports
from launch.processes import Component
from launch.settings import CHECKOUT, HOST, LaunchError, Settings
from launch.world import write_fresh_copy
from sandbox.scenario import Scenario

PARTS = ("scheduler", "dag-processor", "api-server", "triggerer")
"""What ``airflow standalone`` starts; their lines in its output begin with these names."""
START_SECONDS = 180.0
POLL_SECONDS = 0.25
PARSING_NICENESS = 10

Progress = Callable[[str], None]


class ComponentDied(LaunchError):
    """A process of the run has ended by itself."""


class TookTooLong(LaunchError):
    """What was waited for did not come in time."""


@dataclass(frozen=True, slots=True)
class Urls:
    """Where to look."""

    ui: str
    sandbox: str
    mails: str


class Stack:
    """One machine's worth of everything; ``with`` starts and ends it.

    A second process watches this one: when it dies, even by SIGKILL, everything is ended all the same.

    :param settings: ports that are 0 become free ones.
    :param progress: called with one line a stage.
    :param pulse: called several times a second while something is waited for; what it raises ends the waiting.
    """

    def __init__(
        self, settings: Settings, progress: Progress = lambda _: None, pulse: Callable[[], None] = lambda: None
    ) -> None:
        self.settings = with_free_ports(settings)
        self.environment: dict[str, str] = {}
        self.ledger_url = ""
        self.scenario = Scenario()
        self.api = AirflowApi(self.urls.ui)
        self._progress, self._pulse = progress, pulse
        self._components: dict[str, Component] = {}
        self._lock: IO[str] | None = None
        self._watchdog: Component | None = None
        self._alone: set[str] = set()

    @property
    def urls(self) -> Urls:
        """Where UI, sandbox and mails are."""
        sandbox = f"http://{HOST}:{self.settings.sandbox_port}"
        return Urls(f"http://{HOST}:{self.settings.ui_port}", sandbox, f"{sandbox}/_sandbox/mails")

    @property
    def push_url(self) -> str:
        """Where everybody who knows it may push as eTermin does; a secret is part of it."""
        return push_url(self.settings)

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name: ``sandbox``, ``airflow``, its parts, ``postgres``, ``watchdog``."""
        pids = {name: component.pid for name, component in self._components.items()}
        for part in PARTS:
            with suppress(OSError, ValueError):
                pids[part] = int((self.settings.pids / part).read_text(encoding="utf-8"))
        server = postgres.postmaster(self.settings.database)
        return pids | ({"postgres": server.pid} if server else {})

    def start(self) -> None:
        """Start everything; return when Airflow is healthy. After a failure nothing runs.

        :raises LaunchError: the message says what failed and what to do.
        """
        self.settings.make_folders()
        self._take_lock()
        try:
            refuse_busy(ports_of(self.settings))
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything that was started, Airflow before its database; safe to call twice."""
        self.api.close()
        processes.end(component.pid for component in self._components.values() if component is not self._watchdog)
        if self._watchdog:
            postgres.stop(self.settings.database)
        for component in self._components.values():
            if component.process.stdin:
                component.process.stdin.close()
            component.process.wait()
        self._components.clear()
        self._watchdog, self.ledger_url = None, ""
        if self._lock:
            self._lock.close()
            self._lock = None

    def check(self) -> None:
        """Look whether everything still runs.

        :raises ComponentDied: naming what has ended, with the end of its log.
        """
        pids = self.pids
        database = ["postgres"] if self.ledger_url else []
        for name in (*database, *self._components, *PARTS):
            started = name in self._components or name in database or name in pids
            if started and not (name in pids and processes.alive(pids[name])):
                raise ComponentDied(f"{name} has ended by itself; the end of its log:\n{self.log_end(name)}")

    def start_airflow(self) -> None:
        """Start Airflow, also in place of one that was killed with all its parts; it is up when it is healthy."""
        for part in PARTS:
            (self.settings.pids / part).unlink(missing_ok=True)
        for name in ("airflow", *PARTS):
            if former := self._components.pop(name, None):
                former.process.wait()
        self._alone.clear()
        self._launch("airflow", [sys.executable, "-m", "airflow", "standalone"])

    def start_part(self, name: str) -> None:
        """Start a part of Airflow again that has died, e.g. ``triggerer``."""
        self._launch(name, [str(self.settings.run / "bin" / "airflow"), name])
        self._alone.add(name)

    def log_end(self, name: str) -> str:
        """Return the last lines that a component wrote."""
        if name == "postgres":
            return processes.tail(self.settings.database / "log")
        if name in PARTS and name not in self._alone:
            return processes.tail(self.settings.logs / "airflow.log", name)
        return processes.tail(self.settings.logs / f"{name}.log")

    def _start(self) -> None:
        copy = self.settings.run / "scenario.yaml"
        self.scenario = write_fresh_copy(
            self.settings.scenario, copy, insightly_webhook(self.settings), etermin_push(self.settings)
        )
        for left in self.settings.pids.iterdir():
            left.unlink()
        self.environment = base_environment(self.settings)
        self._start_watchdog()
        self._start_sandbox(copy)
        socket_folder = self._complete("postgres-start", postgres.command(self.settings.database)).split("\n")[-1]
        self.ledger_url = postgres.url(socket_folder, "handoffs")
        self.environment |= airflow_environment(self.settings, socket_folder)
        self._progress("PostgreSQL and the sandbox are up")
        described = json.dumps(connections(self.settings, socket_folder))
        self._complete("prepare", [sys.executable, "-m", "launch.prepare"], described)
        self._progress("the databases are migrated, the connections point at the sandbox")
        self.start_airflow()
        if notices.customers(self.scenario):
            file = notices.write_notices(self.scenario, self.settings.run / "notices.csv")
            self._complete("notices", notices.command(file, self.ledger_url))
        self.wait_for(lambda: not self.api.unhealthy(), "Airflow did not become healthy")
        self._parse_when_idle()
        self._progress(f"Airflow is up: {self.urls.ui}")

    def _parse_when_idle(self) -> None:
        """Let DAG files be read again, every half minute, without holding up what is due at that moment."""
        with suppress(KeyError, OSError):
            os.setpriority(os.PRIO_PROCESS, self.pids["dag-processor"], PARSING_NICENESS)

    def wait_for(self, done: Callable[[], bool], otherwise: str, seconds: float = START_SECONDS) -> None:
        """Wait until something is so, while everything keeps running.

        :raises TookTooLong: ``otherwise``, when it takes longer than ``seconds``.
        :raises ComponentDied: as soon as a process ends by itself.
        """
        deadline = time.monotonic() + seconds
        while not done():
            self._pulse()
            self.check()
            if time.monotonic() > deadline:
                raise TookTooLong(f"{otherwise} within {seconds:g} s; see {self.settings.logs}")
            time.sleep(POLL_SECONDS)

    def _start_watchdog(self) -> None:
        command = [sys.executable, "-m", "launch.watchdog"]
        keep = [self._lock.fileno()] if self._lock else []
        self._watchdog = processes.start(
            "watchdog", command, self.settings.logs / "watchdog.log", self.environment, CHECKOUT,
            stdin=subprocess.PIPE, keep=keep,
        )  # fmt: skip
        self._components["watchdog"] = self._watchdog
        self._tell(f"postgres {self.settings.database}")

    def _start_sandbox(self, scenario: Path) -> None:
        settings = self.settings
        command = [
            sys.executable, "-m", "sandbox", "--hold", "--scenario", str(scenario),
            "--port", str(settings.sandbox_port), "--smtp-port", str(settings.smtp_port),
        ]  # fmt: skip
        self._launch("sandbox", command)
        self.wait_for(self._sandbox_answers, "the sandbox did not start", 30)

    def _sandbox_answers(self) -> bool:
        try:
            return requests.get(f"{self.urls.sandbox}/_sandbox/calls", timeout=5, proxies={"http": ""}).ok
        except requests.RequestException:
            return False

    def _launch(self, name: str, command: Sequence[str], **streams: Any) -> Component:
        folder = self.settings.airflow_home if name == "airflow" or name in PARTS else CHECKOUT
        log = self.settings.logs / f"{name}.log"
        component = self._components[name] = processes.start(name, command, log, self.environment, folder, **streams)
        self._tell(f"session {component.pid}")
        return component

    def _complete(self, name: str, command: Sequence[str], given: str = "") -> str:
        """Run a command to its end and return what it printed.

        :raises LaunchError: it failed; with the end of its log.
        """
        output = self.settings.logs / f"{name}.out"
        with output.open("wb") as printed:
            component = self._launch(name, command, stdin=subprocess.PIPE, stdout=printed)
        if component.process.stdin:
            component.process.stdin.write(given.encode())
            component.process.stdin.close()
        self._await_end(component)
        del self._components[name]
        if component.process.returncode:
            raise LaunchError(f"{name} failed; the end of its log:\n{processes.tail(component.log)}")
        self._tell(f"ended {component.pid}")
        return output.read_text(encoding="utf-8").strip()

    def _await_end(self, component: Component) -> None:
        deadline = time.monotonic() + START_SECONDS
        while component.process.poll() is None:
            self._pulse()
            if time.monotonic() > deadline:
                raise LaunchError(f"{component.name} took longer than {START_SECONDS:g} s; see {component.log}")
            time.sleep(0.05)

    def _tell(self, line: str) -> None:
        pipe = self._watchdog.process.stdin if self._watchdog else None
        if pipe is None:
            return
        try:
            pipe.write(f"{line}\n".encode())
            pipe.flush()
        except BrokenPipeError:
            raise ComponentDied(f"watchdog has ended by itself:\n{self.log_end('watchdog')}") from None

    def _take_lock(self) -> None:
        """Keep a second run out of this folder; the watchdog holds the lock too, until all is ended."""
        path = self.settings.run / "lock"
        lock = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            words = "another run uses this folder; end it first (Ctrl-C there), or set HANDOFFS_RUN to another folder"
            raise LaunchError(f"{self.settings.run}: {words}. It is process {owner}") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}, {self.urls.ui}\n")
        lock.flush()
        self._lock = lock

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
