"""A server that takes pushes, in a process of its own, as Airflow's API server would; and the connections it knows."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from sqlalchemy import make_url

SERVE = """
import socket, sys, uvicorn
config = uvicorn.Config("web.mounted:app", lifespan="off", log_level="error", access_log=False)
uvicorn.Server(config).run([socket.socket(fileno=int(sys.argv[1]))])
"""


def ledger_connection(url: str) -> str:
    """Return the Airflow connection that names a ledger, as its environment variable has it."""
    parsed = make_url(url)
    options = "&".join(f"{name}={value}" for name, value in parsed.query.items())
    return json.dumps(
        {
            "conn_type": "handoff_ledger", "host": parsed.host, "port": parsed.port, "login": parsed.username,
            "password": parsed.password, "schema": parsed.database, "extra": {"options": options},
        }
    )  # fmt: skip


def account_connection(secrets: str, conn_type: str = "insightly", require: str = "") -> str:
    """Return the connection of an account that pushes. :param require: proofs that each push must bring."""
    extra = {"webhook_secrets": secrets, "webhook_require": require}
    return json.dumps({"conn_type": conn_type, "password": "key", "extra": extra})


def won(number: int, milliseconds: int = 1489116850787, state: str = "WON") -> bytes:
    """Return what Insightly pushes when an opportunity changes."""
    entity = {"OPPORTUNITY_ID": number, "OPPORTUNITY_STATE": state, "OPPORTUNITY_NAME": "Relaunch Müller"}
    return json.dumps({"entity": entity | {"DATE_UPDATED_UTC": f"/Date({milliseconds}-0800)/"}}).encode()


def booked(number: int) -> bytes:
    """Return what eTermin pushes when an appointment is booked."""
    times = {"startDateTimeUTC": "2036-05-10T08:00:00", "endDateTimeUTC": "2036-05-10T08:30:00"}
    push = {"command": "CREATED", "appointmentUID": str(number), "email": f"eva{number}@example.org"}
    return json.dumps(push | times | {"bookingDateUTC": "2026-05-01T06:12:44"}).encode()


@dataclass(slots=True)
class Server:
    """The running server."""

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        self.process.kill()
        self.process.wait(60)


@contextmanager
def serving(ledger_url: str, accounts: Mapping[str, str], errors: IO[bytes] | None = None) -> Iterator[Server]:
    """Serve in another process until the block ends.

    :param accounts: connections by id. :param errors: where its standard error goes, this process' unless given.
    """
    given = {f"AIRFLOW_CONN_{name.upper()}": value for name, value in accounts.items()}
    environment = os.environ | given | {"AIRFLOW_CONN_HANDOFF_LEDGER": ledger_connection(ledger_url)}
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONWARNINGS": "ignore"}
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        port, descriptor = listening.getsockname()[1], listening.fileno()
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(descriptor)], env=environment, pass_fds=[descriptor], stderr=errors
        )
    try:
        yield Server(f"http://127.0.0.1:{port}", process)
    finally:
        process.kill()
        process.wait(60)
