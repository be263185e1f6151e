"""What becomes of an occasion: batches, verdicts, lanes, effects and their certificates."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from handoff.ledger.schema.base import Base, Json
from handoff.ledger.schema.reported import ContactRow, OccasionRow


class RuleVersion(Base):
    """A rule as it has been at work since ``created_at``; waiting batches stay pinned to it."""

    __tablename__ = "rule_versions"
    __table_args__ = (UniqueConstraint("rule_id", "hash"),)

    rule_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hash: Mapped[str]
    spec: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Batch(Base):
    """All handoffs of one rule for one occasion: what waits for its moment.

    ``round`` is 0, and one more each time that the occasion was moved after its people had been judged.
    ``due_at`` is derived from the occasion's anchor and follows it; ``wake_at`` is when somebody
    should look next: the due moment, or later when the source was not ready yet. ``starts_at`` is set when
    sending starts early: the audience is judged for that moment then.
    """

    __tablename__ = "batches"
    __table_args__ = (
        UniqueConstraint("rule_id", "occasion_id", "round"),
        Index("ix_batches_waiting", "wake_at", postgresql_where=text("state = 'waiting'")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    rule_id: Mapped[str]
    rule_version: Mapped[int]
    occasion_id: Mapped[int] = mapped_column(ForeignKey(OccasionRow.id), index=True)
    round: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    due_at: Mapped[datetime]
    wake_at: Mapped[datetime]
    starts_at: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(server_default="waiting")
    reason: Mapped[str] = mapped_column(server_default="")
    lease_owner: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    judged_at: Mapped[datetime | None]
    late_allowed: Mapped[bool] = mapped_column(server_default="false")


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
