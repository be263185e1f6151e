"""What a running Airflow keeps of its runs, for everybody who may look into its UI, its database or its logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psycopg
from psycopg import sql

from launch.stack import Stack

TABLES = """
    SELECT table_name FROM information_schema.tables
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY table_name
"""
KEEPS_SECRETS = "connection"
"""The table where an account's credentials belong."""
NOT_AIRFLOWS = {"sandbox.log"}


def records(stack: Stack) -> dict[str, str]:
    """Return each table of Airflow's database and each file that it or one of its parts wrote, by its name."""
    return tables(stack) | files(stack)


def tables(stack: Stack) -> dict[str, str]:
    """Return all rows of each table, except of the one that keeps secrets."""
    url = stack.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        names = [name for (name,) in connection.execute(TABLES) if name != KEEPS_SECRETS]
        return {name: _rows(connection, name) for name in names}


def _rows(connection: psycopg.Connection, table: str) -> str:
    every = sql.SQL("SELECT COALESCE(json_agg(one), '[]')::text FROM {} AS one").format(sql.Identifier(table))
    [(rows,)] = connection.execute(every).fetchall()
    return str(rows)


def files(stack: Stack) -> dict[str, str]:
    """Return the logs of tasks and of every part, and whatever else is in Airflow's folder."""
    found = [path for folder in (stack.settings.logs, stack.settings.airflow_home) for path in folder.rglob("*")]
    return {
        str(path.relative_to(stack.settings.run)): path.read_bytes().decode(errors="replace")
        for path in found if path.is_file() and path.name not in NOT_AIRFLOWS
    }  # fmt: skip


def told(words: Iterable[str], where: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return which of the words stand where, also in what the database keeps as bytes."""
    lowered = {name: text.lower() for name, text in where.items()}
    return [
        (word, name)
        for word in words for name, text in lowered.items()
        if word.lower() in text or word.encode().hex() in text
    ]  # fmt: skip
