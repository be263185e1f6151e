"""Opening the ledger, and bringing its tables up to date."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from handoff.errors import LedgerError
from handoff.ledger.schema import SCHEMA

DRIVER = "postgresql+psycopg"
CONNECT_SECONDS = 5
# Statements carry addresses and names; the driver's errors must not.
SETTINGS: dict[str, Any] = {"connect_args": {"connect_timeout": CONNECT_SECONDS}, "hide_parameters": True}


def ledger_url(url: str) -> str:
    """Return ``url`` with the one driver that serves both sync and async use.

    :param url: a PostgreSQL URL with or without a driver name.
    :raises LedgerError: when it is not a PostgreSQL URL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise LedgerError("the ledger's address is not a database URL; check the connection handoff_ledger") from error
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise LedgerError(f"the ledger needs PostgreSQL, not {parsed.get_backend_name()}")
    return parsed.set(drivername=DRIVER).render_as_string(hide_password=False)


def open_ledger(url: str) -> Engine:
    """Return an engine for the ledger; nothing is connected yet."""
    return create_engine(ledger_url(url), pool_pre_ping=True, **SETTINGS)


def open_ledger_async(url: str, *, connections: int = 4) -> AsyncEngine:
    """Return an async engine for the ledger; nothing is connected yet.

    :param connections: how many connections its pool may hold.
    """
    # The connection used last is the one that PostgreSQL knows the tables on already.
    return create_async_engine(ledger_url(url), pool_size=connections, max_overflow=1, pool_use_lifo=True, **SETTINGS)


@asynccontextmanager
async def single_statements(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Give a connection on which each statement is a transaction: one round trip instead of three."""
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


def migrate(url: str) -> None:
    """Create the ledger's schema or bring it to the newest version; safe to run at any time.

    :raises LedgerError: when the database cannot be reached or may not be changed.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    engine = open_ledger(url)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('handoff-migrate'))")
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except (OperationalError, ProgrammingError) as error:
        raise LedgerError(f"the ledger could not be migrated: {str(error.orig).strip()}") from error
    finally:
        engine.dispose()
