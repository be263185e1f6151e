"""Opening the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from handoff.errors import LedgerError

DRIVER = "postgresql+psycopg"
CONNECT_SECONDS = 5
# Statements carry addresses and names; the driver's errors must not.
SETTINGS: dict[str, Any] = {"connect_args": {"connect_timeout": CONNECT_SECONDS}, "hide_parameters": True}
LET_GO = text("SET LOCAL idle_in_transaction_session_timeout = '3s'")


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
    engine = create_engine(ledger_url(url), pool_pre_ping=True, **SETTINGS)
    event.listen(engine, "handle_error", _without_rows)
    return engine


def open_ledger_async(url: str, *, connections: int = 4) -> AsyncEngine:
    """Return an async engine for the ledger; nothing is connected yet.

    :param connections: how many connections its pool may hold.
    """
    # The connection used last is the one that PostgreSQL knows the tables on already.
    engine = create_async_engine(ledger_url(url), pool_size=connections, max_overflow=1, pool_use_lifo=True, **SETTINGS)
    event.listen(engine.sync_engine, "handle_error", _without_rows)
    return engine


def _without_rows(context: ExceptionContext) -> None:
    """Shorten the server's message to its first line: what follows quotes rows, with names and addresses."""
    cause = context.original_exception
    if not isinstance(cause, psycopg.Error) or not cause.diag.message_primary:
        return
    whole, cause.args = str(cause), (cause.diag.message_primary,)
    if (raised := context.sqlalchemy_exception) is not None:
        raised.args = tuple(str(words).replace(whole, cause.diag.message_primary) for words in raised.args)


@asynccontextmanager
async def single_statements(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Give a connection on which each statement is a transaction: one round trip instead of three."""
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


async def let_go_soon(connection: AsyncConnection) -> None:
    """End the transaction by itself should this process be stopped while nothing is done in it.

    What it has locked, others may go on with so soon.
    """
    await connection.execute(LET_GO)
