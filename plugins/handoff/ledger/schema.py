"""The ledger's tables. All times are ``timestamptz``; migrations live beside this file."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
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
    should look next: the due moment, or later when the source was not ready yet. ``starts_at`` is set when
    sending starts early: the audience is judged for that moment then.
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
    starts_at: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(server_default="waiting")
    reason: Mapped[str] = mapped_column(server_default="")
    lease_owner: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    judged_at: Mapped[datetime | None]
    late_allowed: Mapped[bool] = mapped_column(server_default="false")


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
    ``held`` names why only a person can let it go on. ``rests`` names what it rests for, whose end wakes it
    at once: ``all``, ``rule:<id>``, ``paused:<id>`` (of a rule) or ``account:<connection id>``.
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
        Index("ix_lanes_rests", "rests", postgresql_where=text("rests IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_group: Mapped[str]
    name: Mapped[str]
    ready_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(server_default="1")
    held: Mapped[str | None]
    rests: Mapped[str | None]
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
    """One outward call: ``planned -> sending -> confirmed / refused / unknown``, or ``skipped`` or ``held``.

    ``late_allowed``: a person let it go out however late it is.
    """

    __tablename__ = "effects"
    __table_args__ = (
        UniqueConstraint("handoff_id", "step_no"),
        Index(
            "ix_effects_open",
            "lane_id",
            postgresql_where=text("state IN ('planned', 'sending', 'unknown', 'held')"),
        ),
        Index("ix_effects_for_a_person", "state", "id", postgresql_where=text("state IN ('held', 'refused')")),
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
    late_allowed: Mapped[bool] = mapped_column(server_default="false")


class Certificate(Base):
    """The count of a batch: listed = handled + excluded + pending, or it is not even.

    ``missing``: how many entries of the source's own list the ledger did not know at ``compared_at``.
    ``published_at``: when these figures went out as an asset event, ``NULL`` when they still have to.
    """

    __tablename__ = "certificates"

    batch_id: Mapped[int] = mapped_column(ForeignKey(Batch.id), primary_key=True)
    listed: Mapped[int]
    handled: Mapped[int]
    excluded: Mapped[Json]
    pending: Mapped[int]
    even: Mapped[bool]
    missing: Mapped[int] = mapped_column(server_default="0")
    compared_at: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    written_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


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


class Erased(Base):
    """A person whose data was erased: only the key is left, so that nothing late brings the person back."""

    __tablename__ = "erased"

    key: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class SigningKey(Base):
    """A secret made at random: ``links`` signs the links in messages."""

    __tablename__ = "signing_keys"

    name: Mapped[str] = mapped_column(primary_key=True)
    secret: Mapped[bytes]
    made_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


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
