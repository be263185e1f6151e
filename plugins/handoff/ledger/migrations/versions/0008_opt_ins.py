"""Double opt-in and resets"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "opt_ins",
        sa.Column("effect_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("effect_key", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("contact_key", "purpose", "channel", "wording")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("wording_hash", "language", "source", "account")),
        sa.Column("occasion_key", sa.Text(), nullable=False),
        sa.Column("signed_up_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mail_sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("message_id", sa.Text(), server_default="", nullable=False),
        sa.Column("reminder_key", sa.Text(), nullable=True),
        sa.Column("reminder_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ip", sa.Text(), server_default="", nullable=False),
        sa.Column("user_agent", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["contact_id"], ["handoff.contacts.id"], name=op.f("fk_opt_ins_contact_id")),
        sa.ForeignKeyConstraint(["effect_id"], ["handoff.effects.id"], name=op.f("fk_opt_ins_effect_id")),
        sa.PrimaryKeyConstraint("effect_id", name=op.f("pk_opt_ins")),
        sa.UniqueConstraint("effect_key", name=op.f("uq_opt_ins_effect_key")),
        sa.UniqueConstraint("reminder_key", name=op.f("uq_opt_ins_reminder_key")),
        schema="handoff",
    )
    for column in ("contact_key", "expires_at"):
        op.create_index(f"ix_opt_ins_{column}", "opt_ins", [column], schema="handoff")
    op.create_table(
        "resets",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("contact_key", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("because", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resets")),
        schema="handoff",
    )
    op.create_index("ix_resets_rule_id_contact_key", "resets", ["rule_id", "contact_key"], schema="handoff")
    op.create_index("ix_resets_contact_key", "resets", ["contact_key"], schema="handoff")


def downgrade() -> None:
    op.drop_table("resets", schema="handoff")
    op.drop_table("opt_ins", schema="handoff")
