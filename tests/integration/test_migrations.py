"""Every migration of the ledger: up, down and up again, on a real database with rows in every table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.dialects.postgresql import JSONB

import handoff.ledger.migrating
from handoff.ledger.connect import open_ledger
from handoff.ledger.schema import SCHEMA
from tests.conftest import with_database

CONFIG = Config()
CONFIG.set_main_option("script_location", str(Path(handoff.ledger.migrating.__file__).with_name("migrations")))
REVISIONS = list(reversed(list(ScriptDirectory.from_config(CONFIG).walk_revisions())))
COLUMNS = sa.text("""
    SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
    WHERE table_schema = :schema ORDER BY table_name, column_name
""")
INDEXES = sa.text("SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = :schema ORDER BY indexdef")

_numbers = itertools.count(1)


@pytest.fixture
def engine(postgres: str) -> Iterator[sa.Engine]:
    """An empty database."""
    name = f"migrations_{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    engine = open_ledger(with_database(postgres, name))
    with engine.begin() as opened:
        opened.execute(sa.schema.CreateSchema(SCHEMA))
    yield engine
    engine.dispose()
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def up(engine: sa.Engine, revision: str) -> None:
    """Bring the ledger up to a revision."""
    with engine.begin() as connection:
        CONFIG.attributes["connection"] = connection
        command.upgrade(CONFIG, revision)


def down(engine: sa.Engine, revision: str | None) -> None:
    """Bring the ledger down to a revision; ``None``: to nothing."""
    with engine.begin() as connection:
        CONFIG.attributes["connection"] = connection
        command.downgrade(CONFIG, revision or "base")


def tables(connection: sa.Connection) -> list[sa.Table]:
    """Return the ledger's tables as they are, each after those that it refers to."""
    found = sa.MetaData(schema=SCHEMA)
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def fill(engine: sa.Engine) -> None:
    """Put one more row into every table."""
    number = next(_numbers)
    with engine.begin() as connection:
        for table in tables(connection):
            connection.execute(table.insert().values({c.name: value(connection, c, number) for c in table.columns}))


def value(connection: sa.Connection, column: sa.Column[Any], number: int) -> object:
    """Return something that may stand in a column, other than in any other row."""
    for key in column.foreign_keys:
        return connection.execute(sa.select(sa.func.max(key.column))).scalar_one()
    if isinstance(column.type, JSONB):
        return {}
    if isinstance(column.type, sa.SmallInteger):
        # A grade or a place among steps: small, and never a name of its own.
        return 1
    values = {
        bool: True, int: number, float: float(number), str: str(number), bytes: number.to_bytes(4, "big"),
        datetime: datetime.now(UTC), date: datetime.now(UTC).date() + timedelta(days=number),
    }  # fmt: skip
    return values[column.type.python_type]


def shape(engine: sa.Engine) -> list[object]:
    with engine.connect() as connection:
        return [row for query in (COLUMNS, INDEXES) for row in connection.execute(query, {"schema": SCHEMA})]


def counts(engine: sa.Engine) -> dict[str, int]:
    with engine.connect() as connection:
        query = sa.select(sa.func.count())
        return {one.name: connection.execute(query.select_from(one)).scalar_one() for one in tables(connection)}


@pytest.mark.parametrize("rows", [False, True], ids=["empty", "with rows"])
@pytest.mark.parametrize("revision", REVISIONS, ids=lambda one: one.revision)
def test_up_down_and_up_again(engine: sa.Engine, revision: Any, rows: bool) -> None:
    before = revision.down_revision
    if before:
        up(engine, before)
        if rows:
            fill(engine)
    shape_before = shape(engine)
    up(engine, revision.revision)
    if rows:
        fill(engine)
    shape_after, filled = shape(engine), counts(engine)
    down(engine, before)
    if before:
        assert shape(engine) == shape_before
        assert counts(engine) == {table: filled[table] for table in counts(engine)}, "no row is lost on the way down"
        assert not rows or set(counts(engine).values()) == {2}
    up(engine, revision.revision)
    assert shape(engine) == shape_after
    if rows:
        fill(engine)


def test_all_the_way_down_nothing_is_left(engine: sa.Engine) -> None:
    for _ in range(2):
        for revision in REVISIONS:
            up(engine, revision.revision)
            fill(engine)
        down(engine, None)
        assert counts(engine) == {}
