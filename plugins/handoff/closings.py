"""From a record of a CRM to occasions: each time that it is closed is an occasion of its own.

A record (an opportunity, a project) has a state and a time of its last change, no more. What is waited for is that
it *came into* a state. So what was known before decides what a report of it means:

- a record that is edited while it stays closed is the same occasion, with its moment as it was;
- a record that is opened again takes its occasion back, as a cancelled appointment does;
- closed again, or in another state, it is a new occasion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol

from handoff.occasion import Occasion

CLOSED = {
    "opportunity": frozenset({"won", "lost", "abandoned", "suspended"}),
    "project": frozenset({"completed", "cancelled", "abandoned", "deferred"}),
}
WITH_HISTORY = frozenset({"opportunity"})
"""Kinds of records whose source tells when they came into which state."""
TITLES = {"opportunity": "Opportunity (Chance)", "project": "Project (Projekt)"}


class Record(Protocol):
    """A record as its source describes it; times are aware, ``state`` may be in any case."""

    @property
    def kind(self) -> str:
        """``opportunity`` or ``project``."""

    @property
    def id(self) -> int:
        """The source's id."""

    @property
    def state(self) -> str:
        """The state it is in."""

    @property
    def updated_at(self) -> datetime:
        """When it was last changed, whatever changed."""

    @property
    def closed_on(self) -> date | None:
        """The day on which it was closed, as the source says."""

    @property
    def tags(self) -> frozenset[str]:
        """Its tags."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the records of one source account have in common.

    :param asked_tags: the tags that rules ask about, in plain form; no other tag is kept (data minimisation).
    """

    source: str
    conn_id: str
    asked_tags: frozenset[str] = frozenset()


def name_of(record: Record) -> str:
    """Return the record's name among occasions, e.g. ``"opportunity/31"``."""
    return f"{record.kind}/{record.id}"


def plain(tag: str) -> str:
    """Return a tag in the form by which tags are compared: without case and spare blanks."""
    return " ".join(tag.split()).casefold()


def is_closed(record: Record) -> bool:
    """Whether the record is in a state that rules may wait for."""
    return record.state.lower() in CLOSED[record.kind]


def is_older_news(record: Record, known: Occasion | None) -> bool:
    """Whether a record that was not known to be closed was closed before its last change, by the day that it names."""
    return is_closed(record) and not _same(record, known) and _closed_earlier(record)


def may_be_closed_again(record: Record, known: Occasion | None) -> bool:
    """Whether a change of a closed record may hide that it was opened and closed again since it was last read."""
    return _same(record, known) and known is not None and known.changed < record.updated_at.timestamp()


def occasions_of(
    record: Record, known: Occasion | None, account: Account, closed_at: datetime | None = None
) -> Iterator[Occasion]:
    """Yield what a report of a record means: nothing, one occasion, or the old one taken back and a new one.

    :param known: the record's last occasion in the ledger, ``None`` when it never had one.
    :param closed_at: when it came into its state (aware), where its history was asked. Without that it is the
        moment of the last change, or noon of the day that the record names if that is earlier; and a record without
        a history that names a later day than before was closed again.
    """
    alive = known if known is not None and not known.cancelled else None
    if not is_closed(record):
        if alive is not None:
            yield taken_back(alive, record.updated_at)
        return
    if alive is not None and _same(record, known) and not _again(record, alive, closed_at):
        yield replace(alive, changed=record.updated_at.timestamp(), facts=_facts(record, account))
        return
    if alive is not None:
        yield taken_back(alive, record.updated_at)
    yield _occasion(record, account, 1 + (_number(known) if known else 0), closed_at or _closed_at(record))


def taken_back(known: Occasion, at: datetime) -> Occasion:
    """Return the report that a record is not closed any more. :param at: aware."""
    return replace(known, cancelled=True, changed=max(known.changed, at.timestamp()))


def _again(record: Record, alive: Occasion, closed_at: datetime | None) -> bool:
    if closed_at is not None:
        return closed_at > alive.anchors["closed"]
    before = str(alive.facts.get("closed_on", ""))
    return record.kind not in WITH_HISTORY and "" < before < str(record.closed_on or "")


def _closed_earlier(record: Record) -> bool:
    # The zone of the day is not known, so one day more or less says nothing.
    return record.closed_on is not None and record.closed_on < record.updated_at.date() - timedelta(days=1)


def _closed_at(record: Record) -> datetime:
    if record.closed_on is None or not _closed_earlier(record):
        return record.updated_at
    return datetime.combine(record.closed_on, time(12), UTC)


def _same(record: Record, known: Occasion | None) -> bool:
    return known is not None and not known.cancelled and known.facts.get("state") == record.state.lower()


def _occasion(record: Record, account: Account, number: int, closed_at: datetime) -> Occasion:
    return Occasion(
        source=account.source,
        account=account.conn_id,
        key=f"{name_of(record)}/{number}",
        series=name_of(record),
        title=f"{TITLES[record.kind]} {record.id}",
        anchors={"closed": closed_at},
        changed=record.updated_at.timestamp(),
        facts=_facts(record, account),
    )


def _facts(record: Record, account: Account) -> dict[str, object]:
    return {
        "record": name_of(record),
        "state": record.state.lower(),
        "tags": sorted(tag for tag in map(plain, record.tags) if tag in account.asked_tags),
        "closed_on": str(record.closed_on) if record.closed_on else "",
    }


def _number(known: Occasion) -> int:
    return int(known.key.rpartition("/")[2])
