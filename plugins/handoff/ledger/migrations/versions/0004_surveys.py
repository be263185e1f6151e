"""Surveys: who was asked, and what was answered"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "askings",
        sa.Column("effect_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("effect_key", sa.Text(), nullable=False),
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(["contact_id"], ["handoff.contacts.id"], name=op.f("fk_askings_contact_id")),
        sa.ForeignKeyConstraint(["effect_id"], ["handoff.effects.id"], name=op.f("fk_askings_effect_id")),
        sa.PrimaryKeyConstraint("effect_id", name=op.f("pk_askings")),
        sa.UniqueConstraint("effect_key", name=op.f("uq_askings_effect_key")),
        schema="handoff",
    )
    op.create_index("ix_askings_distance", "askings", ["contact_id", "survey", "asked_at"], schema="handoff")
    op.create_table(
        "answers",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=True),
        sa.Column("contact_id", sa.BigInteger(), nullable=True),
        sa.Column("effect_id", sa.BigInteger(), nullable=True),
        sa.Column("rule_id", sa.Text(), server_default="", nullable=False),
        sa.Column("occasion_id", sa.BigInteger(), nullable=True),
        sa.Column("rating", sa.SmallInteger(), nullable=True),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint("rating BETWEEN 0 AND 10", name=op.f("ck_answers_rating")),
        sa.ForeignKeyConstraint(["contact_id"], ["handoff.contacts.id"], name=op.f("fk_answers_contact_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answers")),
        sa.UniqueConstraint("via", "survey", "ref", name=op.f("uq_answers_via_survey_ref")),
        schema="handoff",
    )
    op.create_index("ix_answers_contact_id", "answers", ["contact_id"], schema="handoff")
    op.create_index("ix_answers_survey_answered_at", "answers", ["survey", "answered_at"], schema="handoff")


def downgrade() -> None:
    op.drop_table("answers", schema="handoff")
    op.drop_table("askings", schema="handoff")
