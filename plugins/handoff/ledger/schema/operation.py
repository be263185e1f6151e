"""What keeps the whole running: rate limits, what stands still, and what people are told."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from handoff.ledger.schema.base import Base


class Bucket(Base):
    """The rate limit of one account, shared by all workers and by polling: when its next call may leave.

    ``rate`` (calls a second), ``per_day`` and ``bulk_from`` (so many contacts leave together) are what the
    connection says, written by whoever last opened it.
    """

    __tablename__ = "buckets"

    account: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    rate: Mapped[float | None]
    per_day: Mapped[int | None]
    bulk_from: Mapped[int | None]


class Start(Base):
    """How long a run took from its bell until it stood ready: what the lead is measured from."""

    __tablename__ = "starts"

    id: Mapped[int] = mapped_column(primary_key=True)
    rule_id: Mapped[str]
    seconds: Mapped[float]
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class DayUse(Base):
    """How many requests an account has used of its day, by what they were for.

    ``purpose``: ``writes``, ``polling``, or ``reserve`` for reads that settle; a day begins at midnight UTC.
    """

    __tablename__ = "day_uses"

    account: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[int] = mapped_column(server_default="0")


class Freeze(Base):
    """Something a person stopped: ``all``, ``rule:<id>`` or ``account:<connection id>``."""

    __tablename__ = "freezes"

    scope: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Circuit(Base):
    """A target account that failed repeatedly: while it is open nothing is sent but one probe at ``probe_at``.

    ``pause_seconds``: how long the present pause between two probes is. ``rests_until``: the target asked
    to be left alone until then.
    """

    __tablename__ = "circuits"

    account: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int] = mapped_column(server_default="0")
    cause: Mapped[str] = mapped_column(server_default="")
    opened_at: Mapped[datetime | None]
    probe_at: Mapped[datetime | None]
    pause_seconds: Mapped[float] = mapped_column(server_default="0")
    rests_until: Mapped[datetime | None]


class Notice(Base):
    """Something the team should know, once for each cause however many contacts it concerns.

    ``cause`` names what happened to what, e.g. ``held/rule:webinar_attended``; ``closed_at`` ends it,
    so that the same cause is told again when it comes back.
    """

    __tablename__ = "notices"
    __table_args__ = (Index("uq_notices_open", "cause", unique=True, postgresql_where=text("closed_at IS NULL")),)

    id: Mapped[int] = mapped_column(primary_key=True)
    cause: Mapped[str]
    kind: Mapped[str]
    words: Mapped[str]
    count: Mapped[int] = mapped_column(server_default="1")
    first_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    last_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    told_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]


class SigningKey(Base):
    """A secret made at random: ``links`` signs the links in messages."""

    __tablename__ = "signing_keys"

    name: Mapped[str] = mapped_column(primary_key=True)
    secret: Mapped[bytes]
    made_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
