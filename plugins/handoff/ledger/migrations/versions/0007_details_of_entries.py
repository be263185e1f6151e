"""Details of entries"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    details = sa.Column("details", postgresql.JSONB(), server_default="{}", nullable=False)
    op.add_column("registrations", details, schema="handoff")


def downgrade() -> None:
    op.drop_column("registrations", "details", schema="handoff")
