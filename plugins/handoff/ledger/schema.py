"""The ledger's tables. All times are ``timestamptz``; migrations live beside this file."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, MetaData, SmallInteger, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "handoff"
Json = dict[str, Any]


class Base(DeclarativeBase):
    """All tables live in a PostgreSQL schema of their own, so that any database can host them."""

    metadata = MetaData(
        schema=SCHEMA,
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        },
    )
    type_annotation_map = {  # noqa: RUF012
        datetime: DateTime(timezone=True),
        Json: JSONB,
        str: Text,
        int: BigInteger,
    }


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
    __table_args__ = (UniqueConstraint("source", "account", "key"),)

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


class RuleVersion(Base):
    """A rule as it was when something was planned with it; waiting batches stay pinned to it."""

    __tablename__ = "rule_versions"
    __table_args__ = (UniqueConstraint("rule_id", "hash"),)

    rule_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hash: Mapped[str]
    spec: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Batch(Base):
    """All handoffs of one rule for one occasion: what waits for its moment.

    ``due_at`` is derived from the occasion's anchor and follows it; ``wake_at`` is when somebody
    should look next: the due moment, or later when the source was not ready yet.
    """

    __tablename__ = "batches"
    __table_args__ = (
        UniqueConstraint("rule_id", "occasion_id"),
        Index("ix_batches_waiting", "wake_at", postgresql_where=text("state = 'waiting'")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    rule_id: Mapped[str]
    rule_version: Mapped[int]
    occasion_id: Mapped[int] = mapped_column(ForeignKey(OccasionRow.id), index=True)
    due_at: Mapped[datetime]
    wake_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(server_default="waiting")
    reason: Mapped[str] = mapped_column(server_default="")
    lease_owner: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    judged_at: Mapped[datetime | None]


class ContactRow(Base):
    """A person, once, whichever occasions list them."""

    __tablename__ = "contacts"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str]
    first_name: Mapped[str]
    last_name: Mapped[str]
    phone: Mapped[str]
    language: Mapped[str]
    timezone: Mapped[str]


class RegistrationRow(Base):
    """One entry of the source's list as last read; ``unusable`` says why nobody can be written to."""

    __tablename__ = "registrations"

    occasion_id: Mapped[int] = mapped_column(ForeignKey(OccasionRow.id), primary_key=True)
    ref: Mapped[str] = mapped_column(primary_key=True)
    contact_id: Mapped[int | None] = mapped_column(ForeignKey(ContactRow.id))
    unusable: Mapped[str]
    registered_at: Mapped[datetime]
    presence: Mapped[list[Any]] = mapped_column(JSONB)
    read_at: Mapped[datetime]


class Verdict(Base):
    """Why a listed entry was or was not handed over, with the facts used and when they were read."""

    __tablename__ = "verdicts"
    __table_args__ = (UniqueConstraint("batch_id", "ref"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey(Batch.id))
    ref: Mapped[str]
    contact_id: Mapped[int | None] = mapped_column(ForeignKey(ContactRow.id), index=True)
    included: Mapped[bool]
    reason: Mapped[str]
    facts: Mapped[Json]
    moment: Mapped[datetime]
    read_at: Mapped[datetime]
    judged_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Lane(Base):
    """A line in which effects go out strictly one after the other.

    ``ready_at`` is when its next effect may go out, ``NULL`` when there is nothing to do.
    ``revision`` grows whenever work is added, so that a worker never puts new work to sleep.
    ``held`` names why only a person can let it go on.
    """

    __tablename__ = "lanes"
    __table_args__ = (
        UniqueConstraint("order_group", "name"),
        Index(
            "ix_lanes_ready",
            "order_group",
            "ready_at",
            "id",
            postgresql_where=text("ready_at IS NOT NULL AND held IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_group: Mapped[str]
    name: Mapped[str]
    ready_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(server_default="1")
    held: Mapped[str | None]
    lease_owner: Mapped[str | None]
    leased_until: Mapped[datetime | None]


class HandoffRow(Base):
    """One contact of a batch, in the order of registration."""

    __tablename__ = "handoffs"
    __table_args__ = (UniqueConstraint("batch_id", "contact_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey(Batch.id))
    contact_id: Mapped[int] = mapped_column(ForeignKey(ContactRow.id), index=True)
    lane_id: Mapped[int] = mapped_column(ForeignKey(Lane.id))
    position: Mapped[int]


class Effect(Base):
    """One outward call: ``planned -> sending -> confirmed / refused / unknown``, or ``skipped`` or ``held``."""

    __tablename__ = "effects"
    __table_args__ = (
        UniqueConstraint("handoff_id", "step_no"),
        Index(
            "ix_effects_open",
            "lane_id",
            postgresql_where=text("state IN ('planned', 'sending', 'unknown', 'held')"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    handoff_id: Mapped[int] = mapped_column(ForeignKey(HandoffRow.id))
    lane_id: Mapped[int] = mapped_column(ForeignKey(Lane.id))
    step_no: Mapped[int] = mapped_column(SmallInteger)
    step: Mapped[str]
    account: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="planned")
    reason: Mapped[str] = mapped_column(server_default="")
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    intent_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    proof: Mapped[Json | None]


class Certificate(Base):
    """The count of a batch: listed = handled + excluded + pending, or it is not even."""

    __tablename__ = "certificates"

    batch_id: Mapped[int] = mapped_column(ForeignKey(Batch.id), primary_key=True)
    listed: Mapped[int]
    handled: Mapped[int]
    excluded: Mapped[Json]
    pending: Mapped[int]
    even: Mapped[bool]
    written_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Bucket(Base):
    """The rate limit of one target account, shared by all workers: when its next call may leave."""

    __tablename__ = "buckets"

    account: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Start(Base):
    """How long a run took from its bell until it stood ready: what the lead is measured from."""

    __tablename__ = "starts"

    id: Mapped[int] = mapped_column(primary_key=True)
    rule_id: Mapped[str]
    seconds: Mapped[float]
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
