"""The connection to the ledger's PostgreSQL database."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from airflow.sdk import BaseHook
from sqlalchemy import URL
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import LedgerError
from handoff.ledger.connect import DRIVER, open_ledger, open_ledger_async
from handoff.ledger.revisions import newest, revision

DEFAULT_PORT = 5432
REFUSALS = ("authentication", "authentifizierung", "no password supplied", "pg_hba.conf", 'role "', "rolle »")
"""Words, English and German, by which a server turns credentials away: libpq passes no code on."""


class LedgerHook(BaseHook):
    """Opens the ledger.

    :param ledger_conn_id: connection of type ``handoff_ledger``: host, port, login, password,
        schema (the database's name), and the extra ``options``, a query string for the driver
        such as ``sslmode=require``; ``host=/path`` there names a Unix socket's folder.
    """

    conn_name_attr = "ledger_conn_id"
    default_conn_name = "handoff_ledger"
    conn_type = "handoff_ledger"
    hook_name = "Handoff ledger (PostgreSQL)"

    def __init__(self, ledger_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ledger_conn_id = ledger_conn_id

    @property
    def url(self) -> str:
        """The ledger's database URL, password included."""
        return url_of(self.get_connection(self.ledger_conn_id))

    @classmethod
    async def open(cls, ledger_conn_id: str, *, connections: int = 4) -> AsyncEngine:
        """Return an async engine for the ledger that a connection names.

        :raises LedgerError: when the connection names no database.
        """
        return open_ledger_async(url_of(await cls.aget_connection(ledger_conn_id)), connections=connections)

    def test_connection(self) -> tuple[bool, str]:
        """Say whether the ledger works, its tables are of another version, or the credentials or the server fail."""
        try:
            engine = open_ledger(self.url)
        except LedgerError as error:
            return False, str(error)
        try:
            with engine.connect() as connection:
                found = revision(connection)
        except OperationalError as error:
            words = str(error.orig).strip()
            refused = any(word in words.lower() for word in REFUSALS)
            return False, f"{'Wrong credentials' if refused else 'Cannot connect'}: {words}"
        except SQLAlchemyError as error:
            return False, f"Cannot connect: {error}"
        finally:
            engine.dispose()
        return _working(found, newest())


def _working(found: str | None, needed: str) -> tuple[bool, str]:
    if found is None:
        return True, "The ledger works; its tables are still to be made: handoff migrate"
    if found == needed:
        return True, "The ledger works"
    what = f"The ledger answers, but its tables are of version {found} and this program needs {needed}"
    return False, f"{what}: {'handoff migrate' if found < needed else 'bring this program up to date'}"


def url_of(connection: Any) -> str:
    """Return the database URL that an Airflow connection describes.

    :raises LedgerError: when it names no database, or its extra fields cannot be used.
    """
    if not connection.schema:
        raise LedgerError(f"connection {connection.conn_id}: the database's name (Schema) is missing")
    # Decoded here because ``extra_dejson`` may not be used in async tasks.
    try:
        query = dict(parse_qsl(json.loads(connection.extra or "{}").get("options") or ""))
    except (ValueError, AttributeError):
        words = 'the extra fields must be a JSON object such as {"options": "sslmode=require"}'
        raise LedgerError(f"connection {connection.conn_id}: {words}") from None
    if connection.host:
        query.pop("host", None)
    return URL.create(
        DRIVER,
        username=connection.login or None,
        password=connection.password or None,
        host=connection.host or None,
        port=connection.port or (DEFAULT_PORT if connection.host else None),
        database=connection.schema,
        query=query,
    ).render_as_string(hide_password=False)
