"""Bringing the ledger's tables up to date; apart from opening it, because few need it and it takes long to import."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import OperationalError, ProgrammingError

from handoff.errors import LedgerError
from handoff.ledger.connect import open_ledger
from handoff.ledger.schema import SCHEMA


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
