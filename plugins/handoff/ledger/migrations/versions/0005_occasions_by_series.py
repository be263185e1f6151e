"""Occasions by series"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAME = "ix_occasions_source_account_series"


def upgrade() -> None:
    op.create_index(NAME, "occasions", ["source", "account", "series"], schema="handoff")


def downgrade() -> None:
    op.drop_index(NAME, table_name="occasions", schema="handoff")
