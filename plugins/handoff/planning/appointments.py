"""From an appointment as its source tells it to occasions.

An appointment is one occasion for as long as it lives: rules that react to its booking, and reminders, wait for it;
it moves and is cancelled with it. That it *was changed* and that it *was deleted* are occasions of their own, each
time, for rules that react to those.

A source tells what is, not what happened. So what was known before decides what a report means, and what an
appointment is called among occasions follows from it alone: who was interrupted and begins anew finds the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, Protocol

from handoff.appointment import ANNOUNCED, CONFIRMATION, CONFIRMED_AT, event_of, is_unconfirmed
from handoff.occasion import Occasion

Event = Literal["created", "modified", "deleted"]
ANCHORS: Mapping[Event, tuple[str, ...]] = {
    "created": ("booked", "start", "end"),
    "modified": ("modified", "start", "end"),
    "deleted": ("deleted", "start", "end"),
}
"""The moments of each kind of occasion, the first one its own; the others are there to be shown."""
UNTIMED = 1.0
"""``changed`` of a report that says nothing of its age: whatever is known already is newer."""
BEFORE_BOOKING = 0.001
COMPARED = ("calendar", "service", "confirmed", "sequence", "revision")
"""Facts that make an edit, besides start and end, where both reports name them."""
GLIMPSED = "glimpsed"
"""Fact of an appointment that was found changed by a last look, which nobody was told of yet."""
NEWSLETTER_ASKED = "newsletter_asked"
"""Fact of what somebody was asked about for nothing: nothing is said of the newsletter box, also by the customer's
contact. A change or deletion begins without it."""
TITLE = "Appointment (Termin)"
HISTORY = ("changes", "deletion", NEWSLETTER_ASKED, CONFIRMED_AT)
"""Facts that no report tells: what was made of those before."""


class Appointment(Protocol):
    """An appointment as its source describes it; moments are aware, ``None`` and empty texts say nothing."""

    @property
    def id(self) -> str:
        """The source's stable id."""

    @property
    def calendar_id(self) -> str:
        """Id of the calendar."""

    @property
    def calendar(self) -> str:
        """Name of the calendar."""

    @property
    def service(self) -> str:
        """What was booked."""

    @property
    def start(self) -> datetime | None:
        """Its start."""

    @property
    def end(self) -> datetime | None:
        """Its end."""

    @property
    def booked_at(self) -> datetime | None:
        """When it was booked."""

    @property
    def confirmed(self) -> bool | None:
        """``False`` while the provider has to confirm it."""

    @property
    def sequence(self) -> int | None:
        """Number of its last edit."""

    @property
    def revision(self) -> str:
        """Name of its state, another one after an edit; only one of the source's reports may name it."""

    @property
    def newsletter(self) -> bool | None:
        """Whether the customer ticked the newsletter box."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the appointments of one source account have in common. :param timezone: IANA name."""

    source: str
    conn_id: str
    timezone: str


def id_of(occasion: Occasion) -> str:
    """Return the source's id of the appointment that an occasion is about."""
    return str(occasion.facts["appointment"])


def is_deleted(known: Occasion | None) -> bool:
    """Whether it was reported as deleted; one that somebody merely did not find is not."""
    return known is not None and known.cancelled and known.facts.get("state") == "deleted"


def announced(appointment: Appointment, account: Account) -> Occasion:
    """Return what a message about a new booking means, whose age is not known.

    It counts as older than the booking, so that it never overwrites what was read of the appointment.
    """
    booked = appointment.booked_at
    told = _occasion(appointment, account, booked.timestamp() - BEFORE_BOOKING if booked else UNTIMED, {})
    return replace(told, facts=told.facts | {ANNOUNCED: True})


def read(appointment: Appointment, known: Occasion | None, account: Account, read_at: datetime) -> Iterator[Occasion]:
    """Yield what reading an appointment means: nothing new, the appointment, or also that it was changed.

    :param known: the appointment's own occasion in the ledger, if it has one.
    :param read_at: when the reading began (aware), by one clock for all readings: what is known from a later one stays.
    """
    # A reading may show what was booked after it began.
    changed = max(read_at, appointment.booked_at or read_at).timestamp()
    found = _occasion(appointment, account, changed, dict(known.facts) if known else {})
    if known is not None and "booked" in known.anchors:
        # It was booked once; another report may only tell it less precisely.
        found.anchors["booked"] = known.anchors["booked"]
    if known is None or known.cancelled:
        yield found
        return
    found = replace(found, anchors=known.anchors | found.anchors)
    if known.changed > found.changed or replace(found, changed=known.changed) == known:
        yield known
        return
    if _edited(found, known) or GLIMPSED in known.facts:
        number = _number(known)
        facts = found.facts if appointment.revision else _without(found.facts, "revision")
        found = replace(found, facts=facts | {"changes": number})
        happened = _happening("modified", found, number, read_at)
        confirmed = is_unconfirmed(known) and not is_unconfirmed(found)
        yield replace(happened, facts=happened.facts | {CONFIRMATION: True}) if confirmed else happened
    yield found


def glimpsed(appointment: Appointment, known: Occasion, account: Account, read_at: datetime) -> Occasion:
    """Return the appointment as somebody finds it who looks at it alone; :func:`read` tells of the change later."""
    *edited, found = read(appointment, known, account, read_at)
    if not edited:
        return found
    facts = _without(found.facts, "changes")
    before = {"changes": known.facts["changes"]} if "changes" in known.facts else {}
    return replace(found, facts=facts | before | {GLIMPSED: True})


def deleted(
    appointment: Appointment,
    known: Occasion | None,
    account: Account,
    read_at: datetime,
    deleted_at: datetime | None = None,
) -> Iterator[Occasion]:
    """Yield what the report of a deletion means: that it was deleted, and that the appointment is cancelled.

    A rule can only react to the deletion of what was seen before. What was not leaves a tombstone, so that an older
    report of it changes nothing. That a deletion was told before is nothing new, even if it lives again meanwhile.

    :param appointment: as the report describes it, perhaps only its id. :param known: see :func:`read`.
    :param deleted_at: when, as the source says (aware): by it, the same deletion is known again.
    """
    stamp = deleted_at.isoformat() if deleted_at else ""
    if is_deleted(known) or (known is not None and stamp and known.facts.get("deletion") == stamp):
        return
    changed = read_at.timestamp()
    if known is None:
        tomb = _occasion(appointment, account, changed, {})
        anchors = tomb.anchors or {"deleted": deleted_at or read_at}
        yield replace(tomb, anchors=anchors, cancelled=True, facts=tomb.facts | {"state": "deleted", "deletion": stamp})
        return
    if known.changed > changed:
        return
    number = _number(known)
    facts = known.facts | {"state": "deleted", "deletion": stamp, "changes": number}
    gone = replace(known, cancelled=True, changed=changed, facts=facts)
    yield _happening("deleted", gone, number, read_at)
    yield gone


def standing(happening: Occasion, found: Appointment | None) -> Occasion:
    """Return what became of a change or deletion when somebody looks again: who is gone was not merely changed.

    :param happening: an occasion of :func:`read` or :func:`deleted` other than the appointment itself.
    :param found: the appointment as it is now; of a deletion it does not matter.
    """
    gone = event_of(happening) == "modified" and found is None
    return replace(happening, cancelled=True) if gone else happening


def _occasion(appointment: Appointment, account: Account, changed: float, before: dict[str, object]) -> Occasion:
    moments = {"booked": appointment.booked_at, "start": appointment.start, "end": appointment.end}
    facts: dict[str, object] = {
        "event": "created",
        "appointment": appointment.id,
        "calendar": appointment.calendar_id,
        "calendar_name": appointment.calendar,
        "service": appointment.service,
        "confirmed": appointment.confirmed,
        "sequence": appointment.sequence,
        "revision": appointment.revision,
        "newsletter": appointment.newsletter,
    }
    told = {name: value for name, value in facts.items() if value is not None and value != ""}
    kept = {name: before[name] for name in facts.keys() & before.keys()}
    state = "unconfirmed" if (kept | told).get("confirmed") is False else "booked"
    history = {name: before[name] for name in HISTORY if name in before}
    if before.get("confirmed") is False and appointment.confirmed:
        history[CONFIRMED_AT] = datetime.fromtimestamp(changed, UTC).isoformat()
    return Occasion(
        source=account.source,
        account=account.conn_id,
        key=appointment.id,
        series=str((kept | told).get("calendar", "")),
        title=appointment.service or appointment.calendar or TITLE,
        anchors={name: moment for name, moment in moments.items() if moment is not None},
        timezone=account.timezone,
        changed=changed,
        facts=kept | told | history | {"state": state},
    )


def _happening(event: Event, occasion: Occasion, number: int, at: datetime) -> Occasion:
    moments = {name: moment for name, moment in occasion.anchors.items() if name in ANCHORS[event]}
    return replace(
        occasion,
        key=f"{occasion.key}/{event}/{number}",
        cancelled=False,
        anchors={event: at} | moments,
        changed=at.timestamp(),
        facts=_without(occasion.facts, NEWSLETTER_ASKED) | {"event": event},
    )


def _edited(found: Occasion, known: Occasion) -> bool:
    moved = any(found.anchors[name] != known.anchors[name] for name in ("start", "end") if name in known.anchors)
    both = [name for name in COMPARED if name in known.facts and name in found.facts]
    return moved or ANNOUNCED not in known.facts and any(found.facts[name] != known.facts[name] for name in both)


def _without(facts: dict[str, object], left_out: str) -> dict[str, object]:
    return {name: value for name, value in facts.items() if name != left_out}


def _number(known: Occasion) -> int:
    before = known.facts.get("changes", 0)
    return 1 + (before if isinstance(before, int) else 0)
