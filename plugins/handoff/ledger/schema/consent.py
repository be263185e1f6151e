"""What people agreed to, took back, or had erased."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from handoff.ledger.schema.base import Base, Json


class Erased(Base):
    """A person whose data was erased: only the key is left, so that nothing late brings the person back."""

    __tablename__ = "erased"

    key: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Consent(Base):
    """One line of the consent log, which only grows: what somebody agreed to, took back, or was told.

    ``contact_key`` is hashed; ``at`` is when it happened, ``recorded_at`` when it was written down. Of a consent
    that was ``used`` the effect is named.
    """

    __tablename__ = "consents"
    __table_args__ = (
        Index("ix_consents_standing", "contact_key", "channel", "purpose", "at"),
        Index("uq_consents_used", "effect_id", unique=True, postgresql_where=text("what = 'used'")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    contact_key: Mapped[str]
    contact_id: Mapped[int | None]
    channel: Mapped[str]
    purpose: Mapped[str]
    what: Mapped[str]
    wording: Mapped[str] = mapped_column(server_default="")
    wording_hash: Mapped[str] = mapped_column(server_default="")
    source: Mapped[str] = mapped_column(server_default="")
    ip: Mapped[str] = mapped_column(server_default="")
    user_agent: Mapped[str] = mapped_column(server_default="")
    evidence: Mapped[Json] = mapped_column(server_default="{}")
    effect_id: Mapped[int | None]
    at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Suppression(Base):
    """Somebody who gets no survey and no advertising by a channel, or by ``all``; outlives the person's erasure.

    ``lifted_at`` ends it, and ``lifted_because`` says why.
    """

    __tablename__ = "suppressions"
    __table_args__ = (
        Index(
            "uq_suppressions_open",
            "contact_key",
            "channel",
            "reason",
            unique=True,
            postgresql_where=text("lifted_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    contact_key: Mapped[str]
    channel: Mapped[str]
    reason: Mapped[str]
    source: Mapped[str] = mapped_column(server_default="")
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    lifted_at: Mapped[datetime | None]
    lifted_because: Mapped[str] = mapped_column(server_default="")
