"""The services of ``docker-compose.yaml`` as processes on loopback, with the sandbox beside them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from airflow.utils.net import getfqdn

from launch import postgres, processes
from launch.airflow_environment import FOREIGN
from launch.ports import free_ports
from launch.processes import Component
from launch.settings import CHECKOUT, HOST
from tests.support import embedded_server
from tests.support.compose_file import ComposeFile, Service

START_SECONDS, POLL_SECONDS, COMMAND_SECONDS = 300.0, 0.25, 60.0
TOOLS = {"redis-server": "redis-server", "redis-cli": "redis-server", "curl": "curl"}
"""Programs that are started, to the Debian package of each."""
# What the image's entry point does before the command.
ENTRY_POINT = """
set -e
[ -z "$_AIRFLOW_DB_MIGRATE" ] || airflow db migrate
[ -z "$_AIRFLOW_WWW_USER_CREATE" ] || airflow users create --role Admin --username "$_AIRFLOW_WWW_USER_USERNAME" \\
    --password "$_AIRFLOW_WWW_USER_PASSWORD" --firstname Airflow --lastname Admin --email airflowadmin@example.com
[ "$1" = bash ] || set -- airflow "$@"
exec "$@"
"""
# Servers of logs listen on all interfaces; the UI reads the logs from the shared folder, here as there.
WITHOUT_LOG_SERVER = {"scheduler", "triggerer", "worker"}


def missing_tools() -> list[str]:
    """Return the Debian packages that have to be installed first."""
    return sorted({package for program, package in TOOLS.items() if shutil.which(program) is None})


class Composed:
    """All of it, started as ``docker compose up --wait`` starts it; ``with`` ends it.

    Replicas are called ``worker-1``, ``worker-2``. A second process ends everything when this one dies.

    :param folder: for everything that is written, with a short path that other users may enter.
    :param env_of: given the ports on loopback of ``ui``, ``sandbox`` and ``smtp``, returns the filled in ``.env``.
    :param scenario: the sandbox's world.
    """

    def __init__(self, folder: Path, env_of: Callable[[Mapping[str, int]], dict[str, str]], scenario: Path) -> None:
        self.folder, self.home, self._scenario = folder, folder / "airflow", scenario
        names = ("ui", "sandbox", "smtp", "postgres", "redis", "scheduler")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        places = {
            ("postgres", 5432): self.ports["postgres"], ("redis", 6379): self.ports["redis"],
            ("api-server", 8080): self.ports["ui"], ("scheduler", 8974): self.ports["scheduler"],
        }  # fmt: skip
        self.env = env_of(self.ports)
        self.file = ComposeFile(CHECKOUT / "docker-compose.yaml", self.env, places, self.home)
        self.services = self.file.services()
        self.ui, self.sandbox = (f"http://{HOST}:{self.ports[name]}" for name in ("ui", "sandbox"))
        self.programs = Path()
        self._watchdog: Component | None = None
        self._started: dict[str, Component] = {}
        self._begun: set[str] = set()
        self._looks: dict[str, subprocess.Popen[bytes]] = {}
        self.healthy: set[str] = set()

    def start(self) -> None:
        """Start each service when those it waits for are ready; return when all are healthy.

        :raises RuntimeError: one has ended by itself or does not become healthy; with the end of its log.
        """
        (self.folder / "logs").mkdir()
        self._watchdog = self._launch("watchdog", [sys.executable, "-m", "launch.watchdog"], {}, stdin=subprocess.PIPE)
        world = ["--scenario", str(self._scenario), "--port", str(self.ports["sandbox"])]
        mails = ["--smtp-port", str(self.ports["smtp"])]
        self._launch("sandbox", [sys.executable, "-m", "sandbox", "--hold", *world, *mails], {})
        self.wait_for(self._go_on, "the services did not become healthy")

    def stop(self) -> None:
        """End everything that was started, the databases last; safe to call twice."""
        for look in self._looks.values():
            look.kill()
            look.wait()
        pids = {name: component.pid for name, component in self._started.items()}
        processes.end(pid for name, pid in pids.items() if name not in {"watchdog", "redis-1"})
        postgres.stop(self._data)
        processes.end(pid for name, pid in pids.items() if name == "redis-1")
        for component in self._started.values():
            if component.process.stdin:
                component.process.stdin.close()
            component.process.wait()
        self._started.clear()
        self._looks.clear()

    def wait_for(self, done: Callable[[], Any], otherwise: str, seconds: float = START_SECONDS) -> Any:
        """Return the first true answer, while everything keeps running.

        :raises RuntimeError: something has ended by itself, or it takes too long; says so and ``otherwise``.
        """
        deadline = time.monotonic() + seconds
        while not (answer := done()):
            self._check()
            if time.monotonic() > deadline:
                logs = "\n".join(f"{name}:\n{self._log_end(name)}" for name in self._started)
                raise RuntimeError(f"{otherwise} within {seconds:g} s\n{logs}")
            time.sleep(POLL_SECONDS)
        return answer

    def pid(self, name: str) -> int:
        """Return a process id, e.g. of ``worker-1``."""
        return self._started[name].pid

    def execute(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as ``docker compose exec`` does, e.g. in ``scheduler-1``."""
        service = self.services[name.rpartition("-")[0]]
        environment = self._inherited() | self._environment(name, service)
        return subprocess.run(
            command, env=environment, cwd=self.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip

    @property
    def ledger_url(self) -> str:
        """The ledger's database, as ``handoff`` would reach it in the container of the scheduler."""
        return self.services["scheduler"].environment["HANDOFF_LEDGER_URL"]

    @property
    def _data(self) -> Path:
        return self.folder / "postgres"

    def _go_on(self) -> bool:
        """Start what can be started, look whether what runs is healthy, and tell whether all is well."""
        for service in self.services.values():
            if all(self._met(other, condition) for other, condition in service.needs.items()):
                for name in instances(service):
                    if name not in self._begun:
                        self._begun.add(name)
                        self._start(name, service)
                    elif service.health and name not in self.healthy and self._worth_a_look(service):
                        self._look(name, service)
        lasting = [service for service in self.services.values() if service.health]
        return self.healthy >= {name for service in lasting for name in instances(service)}

    def _met(self, service: str, condition: str) -> bool:
        names = instances(self.services[service])
        if condition == "service_healthy":
            return self.healthy >= set(names)
        return all(name in self._started and self._started[name].process.poll() == 0 for name in names)

    def _start(self, name: str, service: Service) -> None:
        if service.name == "postgres":
            self._start_postgres(service)
        elif service.name == "redis":
            *shell, script = service.command
            places = f"--bind {HOST} --port {self.ports['redis']} --dir {self.folder} --save ''"
            self._launch(name, [*shell, f"{script} {places}"], service.environment)
        else:
            own = ["--skip-serve-logs"] if service.name in WITHOUT_LOG_SERVER else []
            own += ["--celery-hostname", name] if service.name == "worker" else []
            command = ["sh", "-c", ENTRY_POINT, "entrypoint", *service.command, *own]
            self._launch(name, command, self._environment(name, service))

    def _start_postgres(self, service: Service) -> None:
        program, *options = service.command
        assert program == "postgres"
        self._tell(f"postgres {self._data}")
        script, port = self.file.config("ledger-database"), self.ports["postgres"]
        self.programs = embedded_server.start(self._data, port, options, service.environment, script)

    def _environment(self, name: str, service: Service) -> dict[str, str]:
        """Return what the container would have, and what keeps several of them apart on one machine."""
        apart = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(self.ports["ui"]),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": HOST,
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.ports["scheduler"]),
            "HOSTNAME": name if service.name == "worker" else getfqdn(),
        }
        return service.environment | apart

    def _worth_a_look(self, service: Service) -> bool:
        """Leave checks that import Airflow, which takes seconds, until the quick ones are met."""
        quick = [one for one in self.services.values() if one.health and not _imports_airflow(one)]
        return not _imports_airflow(service) or all(self.healthy >= set(instances(one)) for one in quick)

    def _look(self, name: str, service: Service) -> None:
        """Begin to look whether it is healthy, or note what was found."""
        look = self._looks.get(name)
        if look is None:
            log = self.folder / "logs" / f"{name}.health"
            with log.open("wb") as output:
                self._looks[name] = subprocess.Popen(
                    self._health(service), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    env=self._inherited() | self._environment(name, service), cwd=self.folder,
                )  # fmt: skip
        elif look.poll() is not None:
            del self._looks[name]
            if look.returncode == 0:
                self.healthy.add(name)

    def _health(self, service: Service) -> list[str]:
        """Return the check, led to the ports of this machine where the file leaves them out."""
        if service.name == "postgres":
            return [*service.health, f"--port={self.ports['postgres']}"]
        if service.name == "redis":
            place = f"redis-cli -h {HOST} -p {self.ports['redis']}"
            return [word.replace("redis-cli", place) for word in service.health]
        return service.health

    def _launch(self, name: str, command: list[str], environment: dict[str, str], **streams: Any) -> Component:
        log = self.folder / "logs" / f"{name}.log"
        folder = CHECKOUT if name in {"sandbox", "watchdog"} else self.folder
        component = processes.start(name, command, log, self._inherited() | environment, folder, **streams)
        self._started[name] = component
        if name != "watchdog":
            self._tell(f"session {component.pid}")
        return component

    def _inherited(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith((*FOREIGN, "HANDOFF_"))}
        path = [str(Path(sys.executable).parent), str(self.programs), kept.get("PATH", os.defpath)]
        return kept | {"PATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1", "NO_PROXY": HOST, "no_proxy": HOST}

    def _tell(self, line: str) -> None:
        pipe = self._watchdog.process.stdin if self._watchdog else None
        if pipe:
            pipe.write(f"{line}\n".encode())
            pipe.flush()

    def _check(self) -> None:
        if "postgres-1" in self._begun and postgres.postmaster(self._data) is None:
            raise RuntimeError(f"postgres has ended by itself:\n{processes.tail(self._data / 'log')}")
        for name, component in self._started.items():
            ended = component.process.poll()
            if ended is not None and (ended or name != "airflow-init-1"):
                raise RuntimeError(f"{name} has ended by itself; the end of its log:\n{self._log_end(name)}")

    def _log_end(self, name: str) -> str:
        return processes.tail(self.folder / "logs" / f"{name}.log")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def instances(service: Service) -> list[str]:
    """Return the names of its processes."""
    return [f"{service.name}-{number}" for number in range(1, service.replicas + 1)]


def _imports_airflow(service: Service) -> bool:
    return any(word.startswith(("airflow ", "celery ")) for word in service.health)
