"""Of which version the ledger's tables are, and which one this program needs; read without what migrates them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text

MIGRATIONS = Path(__file__).with_name("migrations") / "versions"
MADE = text("SELECT to_regclass('handoff.alembic_version') IS NOT NULL")
REVISION = text("SELECT version_num FROM handoff.alembic_version")


def newest() -> str:
    """Return the version that this program needs: that of its newest migration, e.g. ``"0009"``."""
    return max(path.name[:4] for path in MIGRATIONS.glob("[0-9]*.py"))


def revision(connection: Connection) -> str | None:
    """Return the version that the tables have; ``None`` while there are none."""
    made = connection.execute(MADE).scalar_one()
    return connection.execute(REVISION).scalar_one() if made else None
