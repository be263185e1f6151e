"""Where a run keeps its files, which ports it uses, and its secrets."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sandbox.scenario import DEFAULT_SCENARIO

HOST = "127.0.0.1"
CHECKOUT = Path(__file__).resolve().parents[1]
SECRETS = {"AIRFLOW__CORE__FERNET_KEY": 32, "AIRFLOW__API_AUTH__JWT_SECRET": 64, "AIRFLOW__API__SECRET_KEY": 32}
"""Airflow's variable to length in bytes."""
INSIGHTLY_WEBHOOK, ETERMIN_WEBHOOK = "INSIGHTLY_WEBHOOK", "ETERMIN_WEBHOOK"
KEPT_SECRETS = SECRETS | {INSIGHTLY_WEBHOOK: 24, ETERMIN_WEBHOOK: 24}
"""Also those that Airflow's environment does not need."""


class LaunchError(Exception):
    """The run cannot go on; the message says what happened and what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One run's folder, ports and world.

    :param run: folder for everything the run writes; kept from one run to the next.
    :param home: folder that holds ``include/``, ``dags/`` and ``plugins/``.
    :param ports: 0 takes any free one.
    """

    run: Path
    home: Path = CHECKOUT
    ui_port: int = 0
    sandbox_port: int = 0
    smtp_port: int = 0
    scenario: Path = DEFAULT_SCENARIO

    @classmethod
    def from_environment(cls, scenario: Path | None = None, environment: Mapping[str, str] = os.environ) -> Self:
        """Read ``HANDOFFS_RUN``, ``PORT``, ``SANDBOX_PORT`` and ``SMTP_PORT``.

        :raises LaunchError: when a port is no number from 1 to 65535.
        """
        return cls(
            run=Path(environment.get("HANDOFFS_RUN") or CHECKOUT / ".run").expanduser().resolve(),
            ui_port=_port(environment, "PORT", 8080),
            sandbox_port=_port(environment, "SANDBOX_PORT", 8091),
            smtp_port=_port(environment, "SMTP_PORT", 8025),
            scenario=scenario or DEFAULT_SCENARIO,
        )

    @property
    def database(self) -> Path:
        """The embedded PostgreSQL's data folder."""
        return self.run / "postgres"

    @property
    def airflow_home(self) -> Path:
        """Airflow's own folder."""
        return self.run / "airflow"

    @property
    def logs(self) -> Path:
        """Where each component's output goes, one file each."""
        return self.run / "logs"

    @property
    def pids(self) -> Path:
        """Where Airflow's parts write their process ids."""
        return self.run / "pids"

    def make_folders(self) -> None:
        """Create the run's folders.

        :raises LaunchError: when the embedded PostgreSQL could not work there.
        """
        if any(character.isspace() for character in str(self.run)):
            words = "the embedded PostgreSQL does not work below a path with a space"
            raise LaunchError(f"{self.run}: {words}; set HANDOFFS_RUN to a folder without one")
        for folder in (self.run, self.airflow_home, self.logs, self.pids):
            folder.mkdir(parents=True, exist_ok=True)


def kept_secrets(run: Path) -> dict[str, str]:
    """Return the run's secrets by name; each made once, readable by their owner only."""
    path = run / "secrets.json"
    kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if new := KEPT_SECRETS.keys() - kept.keys():
        made = {
            name: base64.urlsafe_b64encode(secrets.token_bytes(KEPT_SECRETS[name])).decode() for name in sorted(new)
        }
        kept |= made
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(kept), encoding="utf-8")
        draft.replace(path)
    return kept


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    given = environment.get(name) or str(default)
    if not given.isdecimal() or not 1 <= int(given) <= 65535:
        raise LaunchError(f"{name}={given}: a port is a number from 1 to 65535, e.g. make run {name}={default}")
    return int(given)
