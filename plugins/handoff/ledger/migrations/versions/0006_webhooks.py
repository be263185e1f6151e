"""Webhooks: deliveries, and how many there were"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("occasions", postgresql.JSONB(), nullable=False),
        sa.Column("contact_key", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("account", "content_hash", name=op.f("uq_deliveries_account_content_hash")),
        schema="handoff",
    )
    op.create_index(
        "ix_deliveries_waiting", "deliveries", ["received_at", "id"], schema="handoff",
        postgresql_where=sa.text("processed_at IS NULL"),
    )  # fmt: skip
    op.create_index(
        "ix_deliveries_contact_key", "deliveries", ["contact_key"], schema="handoff",
        postgresql_where=sa.text("contact_key IS NOT NULL"),
    )  # fmt: skip
    op.create_table(
        "webhook_counts",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("account", "day", "outcome", name=op.f("pk_webhook_counts")),
        schema="handoff",
    )


def downgrade() -> None:
    op.drop_table("webhook_counts", schema="handoff")
    op.drop_table("deliveries", schema="handoff")
