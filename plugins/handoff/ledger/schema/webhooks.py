"""What was pushed here: deliveries as they were accepted, and how many there were."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from handoff.ledger.schema.base import Base, Json


class Delivery(Base):
    """One push, stored once however often it is sent; kept for some days only.

    ``payload`` is what its adapter keeps of it, ``occasions`` what the planner is to record. ``contact_key`` is set
    when a person's data is in it. ``processed_at`` is ``NULL`` while the planner has still to record it, and
    ``problem`` says why it could not (a kind of error, no content).
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("account", "content_hash"),
        Index("ix_deliveries_waiting", "received_at", "id", postgresql_where=text("processed_at IS NULL")),
        Index("ix_deliveries_contact_key", "contact_key", postgresql_where=text("contact_key IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    account: Mapped[str]
    content_hash: Mapped[str]
    payload: Mapped[Json]
    occasions: Mapped[list[Any]] = mapped_column(JSONB)
    contact_key: Mapped[str | None]
    received_at: Mapped[datetime]
    processed_at: Mapped[datetime | None]
    problem: Mapped[str | None]


class WebhookCount(Base):
    """How many pushes of a day (UTC) had an outcome: ``accepted``, ``repeated``, or why they were refused."""

    __tablename__ = "webhook_counts"

    account: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
