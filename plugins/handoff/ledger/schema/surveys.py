"""Who was asked for a rating, and what was answered."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from handoff.ledger.schema.base import Base
from handoff.ledger.schema.handoffs import Effect
from handoff.ledger.schema.reported import ContactRow


class Asking(Base):
    """One effect that asks a person for a rating: written before it goes out, so that its link is known at once.

    ``effect_key`` is the effect's stable name, which the link's token carries; ``language`` is the one asked in.
    ``via``: ``own`` mail, or the vendor that asks.
    """

    __tablename__ = "askings"
    __table_args__ = (Index("ix_askings_distance", "contact_id", "survey", "asked_at"),)

    effect_id: Mapped[int] = mapped_column(ForeignKey(Effect.id), primary_key=True, autoincrement=False)
    effect_key: Mapped[str] = mapped_column(unique=True)
    survey: Mapped[str]
    contact_id: Mapped[int] = mapped_column(ForeignKey(ContactRow.id))
    rule_id: Mapped[str]
    via: Mapped[str]
    language: Mapped[str]
    asked_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class AnswerRow(Base):
    """The newest version of one answer to a survey; ``ref`` is what its source knows it by.

    When the person is erased, or the answer's retention period ends, the row keeps its ref and loses the rest:
    ``rating`` is ``NULL`` then, and a new row without ref and person carries the rating on.
    """

    __tablename__ = "answers"
    __table_args__ = (
        UniqueConstraint("via", "survey", "ref"),
        CheckConstraint("rating BETWEEN 0 AND 10", name="ck_answers_rating"),
        Index("ix_answers_survey_answered_at", "survey", "answered_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    survey: Mapped[str]
    via: Mapped[str]
    ref: Mapped[str | None]
    contact_id: Mapped[int | None] = mapped_column(ForeignKey(ContactRow.id), index=True)
    effect_id: Mapped[int | None]
    rule_id: Mapped[str] = mapped_column(server_default="")
    occasion_id: Mapped[int | None]
    rating: Mapped[int | None] = mapped_column(SmallInteger)
    comment: Mapped[str] = mapped_column(server_default="")
    answered_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(server_default="1")
