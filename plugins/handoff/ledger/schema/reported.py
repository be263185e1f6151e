"""What sources report, as it was last read: the inbox, occasions, people and lists."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from handoff.ledger.schema.base import Base, Json


class Event(Base):
    """The inbox: one fact a source reported, stored once however often it is reported."""

    __tablename__ = "inbox"
    __table_args__ = (UniqueConstraint("source", "account", "content_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    account: Mapped[str]
    content_key: Mapped[str]
    occasion_key: Mapped[str]
    payload: Mapped[Json]
    received_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Cursor(Base):
    """How far a source account has been read."""

    __tablename__ = "cursors"

    source: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class OccasionRow(Base):
    """An occasion as last reported; ``version`` grows whenever its anchors or state change."""

    __tablename__ = "occasions"
    __table_args__ = (UniqueConstraint("source", "account", "key"), Index(None, "source", "account", "series"))

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    account: Mapped[str]
    key: Mapped[str]
    series: Mapped[str]
    title: Mapped[str]
    anchors: Mapped[Json]
    timezone: Mapped[str]
    facts: Mapped[Json]
    cancelled: Mapped[bool]
    changed: Mapped[float]
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class ContactRow(Base):
    """A person, once, whichever occasions list them.

    ``erased``: the data was erased on request; it stands here beside the table ``erased`` because a
    list that is stored at the same time can only meet it in the row that both of them lock.
    """

    __tablename__ = "contacts"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str]
    first_name: Mapped[str]
    last_name: Mapped[str]
    phone: Mapped[str]
    language: Mapped[str]
    timezone: Mapped[str]
    erased: Mapped[bool] = mapped_column(server_default="false")


class RegistrationRow(Base):
    """One entry of the source's list as last read; ``unusable`` says why nobody can be written to."""

    __tablename__ = "registrations"

    occasion_id: Mapped[int] = mapped_column(ForeignKey(OccasionRow.id), primary_key=True)
    ref: Mapped[str] = mapped_column(primary_key=True)
    contact_id: Mapped[int | None] = mapped_column(ForeignKey(ContactRow.id), index=True)
    unusable: Mapped[str]
    registered_at: Mapped[datetime]
    presence: Mapped[list[Any]] = mapped_column(JSONB)
    details: Mapped[Json] = mapped_column(server_default="{}")
    read_at: Mapped[datetime]
