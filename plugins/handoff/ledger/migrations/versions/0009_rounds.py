"""Another round when an occasion was moved after its people were judged

The way down is refused by PostgreSQL as long as there is a second round of a batch: without its number nobody could
tell the two apart.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BEFORE, AFTER = "uq_batches_rule_id_occasion_id", "uq_batches_rule_id_occasion_id_round"


def upgrade() -> None:
    column = sa.Column("round", sa.SmallInteger(), server_default="0", nullable=False)
    op.add_column("batches", column, schema="handoff")
    op.drop_constraint(BEFORE, "batches", schema="handoff")
    op.create_unique_constraint(AFTER, "batches", ["rule_id", "occasion_id", "round"], schema="handoff")


def downgrade() -> None:
    op.drop_constraint(AFTER, "batches", schema="handoff")
    op.create_unique_constraint(BEFORE, "batches", ["rule_id", "occasion_id"], schema="handoff")
    op.drop_column("batches", "round", schema="handoff")
