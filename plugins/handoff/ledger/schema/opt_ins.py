"""Who was asked to confirm a consent (double opt-in), and whom a person let pass through a rule again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from handoff.ledger.schema.base import Base
from handoff.ledger.schema.handoffs import Effect
from handoff.ledger.schema.reported import ContactRow


class OptIn(Base):
    """One confirmation mail: written before it goes out, so that its link is known at once.

    ``effect_key`` is the mail's stable name, which the link's token carries, and ``reminder_key`` its reminder's.
    ``source``, ``account``, ``occasion_key`` and ``signed_up_at`` are the sign-up (Anmeldung). What was confirmed is
    copied to the consent log, which is the proof; this row goes some weeks after its link has expired.
    """

    __tablename__ = "opt_ins"
    __table_args__ = (Index("ix_opt_ins_contact_key", "contact_key"), Index("ix_opt_ins_expires_at", "expires_at"))

    effect_id: Mapped[int] = mapped_column(ForeignKey(Effect.id), primary_key=True, autoincrement=False)
    effect_key: Mapped[str] = mapped_column(unique=True)
    contact_id: Mapped[int] = mapped_column(ForeignKey(ContactRow.id))
    contact_key: Mapped[str]
    purpose: Mapped[str]
    channel: Mapped[str]
    wording: Mapped[str]
    wording_hash: Mapped[str]
    language: Mapped[str]
    source: Mapped[str]
    account: Mapped[str]
    occasion_key: Mapped[str]
    signed_up_at: Mapped[datetime]
    mail_sent_at: Mapped[datetime]
    message_id: Mapped[str] = mapped_column(server_default="")
    reminder_key: Mapped[str | None] = mapped_column(unique=True)
    reminder_sent_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    ip: Mapped[str] = mapped_column(server_default="")
    user_agent: Mapped[str] = mapped_column(server_default="")


class Reset(Base):
    """A person's decision that a contact passes through a rule again: what was handed over before does not count."""

    __tablename__ = "resets"
    __table_args__ = (
        Index("ix_resets_rule_id_contact_key", "rule_id", "contact_key"),
        Index("ix_resets_contact_key", "contact_key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    contact_key: Mapped[str]
    rule_id: Mapped[str]
    by: Mapped[str] = mapped_column(server_default="")
    because: Mapped[str] = mapped_column(server_default="")
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
