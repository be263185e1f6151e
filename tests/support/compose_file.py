"""What ``docker-compose.yaml`` says, read as Docker Compose reads it, for services that are processes on loopback."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from launch.settings import HOST

IMAGE_HOME = "/opt/airflow"
VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\})")
PLACE = re.compile(r'\b(?P<host>[a-z]+(?:-[a-z]+)*)(?P<between>:|", "port": )(?P<port>\d+)\b')

Ports = Mapping[tuple[str, int], int]
"""Service and the port it listens on in its container, to the port on loopback."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service, ready to be started here.

    :param needs: the services it waits for, and the condition each has to meet.
    :param health: the command that tells whether it is healthy; empty when there is none.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    needs: dict[str, str]
    health: list[str]
    replicas: int


class ComposeFile:
    """The file, with a filled in ``.env``, and with host names, ports and paths of this machine.

    :param env: the variables of ``.env``. :param home: stands for the image's folder.
    """

    def __init__(self, path: Path, env: Mapping[str, str], ports: Ports, home: Path) -> None:
        self._file: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        self._env, self._ports, self._home = env, ports, home

    def services(self) -> dict[str, Service]:
        """Return every service by name."""
        return {name: self._service(name, described) for name, described in self._file["services"].items()}

    def config(self, name: str) -> str:
        """Return the content of a config."""
        return self._filled_in(self._file["configs"][name]["content"])

    def mounts(self, service: str) -> dict[str, Path]:
        """Return which folder of the checkout is seen where: its name to the folder here."""
        pairs = [mount.split(":")[:2] for mount in self._file["services"][service]["volumes"]]
        return {
            source.removeprefix("./"): Path(target.replace(IMAGE_HOME, str(self._home)))
            for source, target in pairs if source.startswith("./")
        }  # fmt: skip

    def _service(self, name: str, described: Mapping[str, Any]) -> Service:
        def here(text: str) -> str:
            return self._here(name, self._filled_in(text))

        kind, *test = described.get("healthcheck", {}).get("test", [""])
        health = ["sh", "-c", *test] if kind == "CMD-SHELL" else test
        return Service(
            name=name,
            command=[here(word) for word in described["command"]],
            environment={key: here(value) for key, value in described.get("environment", {}).items()},
            needs={other: need["condition"] for other, need in described.get("depends_on", {}).items()},
            health=[here(word) for word in health],
            replicas=described.get("deploy", {}).get("replicas", 1),
        )

    def _filled_in(self, text: str) -> str:
        return VARIABLE.sub(self._value, text)

    def _value(self, found: re.Match[str]) -> str:
        if found["name"] is None:
            return "$"
        value = self._env.get(found["name"], "")
        if not value and found["kind"] == "?":
            raise LookupError(f"{found['name']} is not set: {found['rest']}")
        return value or (found["rest"] if found["kind"] == "-" else "")

    def _here(self, service: str, text: str) -> str:
        return PLACE.sub(self._place(service), text).replace(IMAGE_HOME, str(self._home))

    def _place(self, service: str) -> Callable[[re.Match[str]], str]:
        def place(found: re.Match[str]) -> str:
            host = service if found["host"] == "localhost" else found["host"]
            if host not in self._file["services"]:
                return found[0]
            if (host, int(found["port"])) not in self._ports:
                raise LookupError(f"{service}: nothing listens at {host}:{found['port']}")
            return f"{HOST}{found['between']}{self._ports[host, int(found['port'])]}"

        return place


def filled_in_env(example: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of ``.env.example`` as an operator would fill them in: every empty secret is made.

    :param given: what is not left as it stands there.
    """
    lines = [line for line in example.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    values = {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}
    made = {name: secrets.token_hex(24) for name in values if re.search(r"PASSWORD|SECRET", name)}
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return values | made | {"AIRFLOW_FERNET_KEY": key} | dict(given)
