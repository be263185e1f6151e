"""One poll of an eTermin account: what changed and what was deleted since the last one, and what that means."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from handoff.appointments import Account, deleted, is_deleted, read
from handoff.occasion import Occasion
from hooks.etermin import ETerminClient
from hooks.etermin_cursor import FeedCursor
from hooks.protocols.etermin import Read
from hooks.protocols.etermin_appointments import Appointment, Deletion
from hooks.protocols.etermin_times import local_day

REQUESTS = 2
"""A poll reads the feed and the list of deletions; more only where the two contradict each other."""
KEPT_BACK = timedelta(days=31)
"""Of a full reading, appointments that ended longer ago are left out; rules that wait longer than this after an
appointment saw it before."""
DAYS_AROUND = 1
"""Deletions are asked for by day, in a zone that is not said, and so a day further on both sides."""


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll brought.

    :param feed: what changed. :param gone: what was deleted, and when that was read.
    :param cursor: to be written once everything is recorded.
    """

    feed: Read
    gone: Read
    cursor: FeedCursor

    @property
    def keys(self) -> list[str]:
        """The ids of all appointments that it is about, each once."""
        deletions = (one.appointment for one in (*self.feed.deletions, *self.gone.deletions))
        return sorted({one.id for one in (*self.feed.appointments, *deletions)})

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read, without contact data."""
        return self.feed.problems + self.gone.problems


async def poll(client: ETerminClient, cursor: FeedCursor) -> Polled:
    """Read the feed from the cursor, and then the deletions since.

    A token that is lost or not known any more leads to a full reading, which brings everything that is still to come.

    :raises TargetError: the account cannot be read now.
    """
    began = datetime.now(UTC)
    feed = await client.sync(cursor.token)
    gone = await deletions(client, cursor.read_at or feed.read_at, feed.read_at)
    if feed.full:
        feed = replace(feed, appointments=tuple(one for one in feed.appointments if _matters(one, feed.read_at)))
    return Polled(feed, gone, FeedCursor(feed.token, feed.read_at, began, cursor.heeded))


async def deletions(client: ETerminClient, since: datetime, until: datetime) -> Read:
    """Read what was deleted between two moments (aware), and somewhat around them."""
    zone = client.account.zone
    first, last = local_day(since, zone, -DAYS_AROUND), local_day(until, zone, DAYS_AROUND + 1)
    return await client.deleted(first, last)


async def meaning(
    client: ETerminClient, polled: Polled, known: Mapping[str, Occasion], account: Account, *, newsletter: bool = False
) -> Sequence[Occasion]:
    """Return the occasions that a poll means, in an order to record them.

    :param known: the appointments' own occasions in the ledger by key (see :attr:`Polled.keys`).
    :param newsletter: some rule asks for the newsletter box: where nothing is said of it, the contact is looked up.
    :raises TargetError: an appointment or contact cannot be read now.
    """
    latest, found = dict(known), list[Occasion]()
    told_gone = {one.appointment.id for one in (*polled.feed.deletions, *polled.gone.deletions)}
    for appointment in polled.feed.appointments:
        now, read_at = await _as_it_is(client, appointment, polled, latest, told_gone)
        if now is not None:
            if newsletter:
                now = await with_newsletter(client, now, latest.get(now.id))
            _note(found, latest, now.id, list(read(now, latest.get(now.id), account, read_at)))
    for deletion, read_at in _deletions(polled):
        gone = deletion.appointment
        occasions = deleted(gone, latest.get(gone.id), account, read_at, deletion.deleted_at)
        _note(found, latest, gone.id, list(occasions))
    return found


async def with_newsletter(client: ETerminClient, appointment: Appointment, known: Occasion | None) -> Appointment:
    """Return an appointment that says whether the newsletter box was ticked, as its contact does if it does not.

    :raises TargetError: the contact cannot be read now.
    """
    if appointment.newsletter is not None or (known is not None and "newsletter" in known.facts):
        return appointment
    email = appointment.customer.email
    contacts = await client.contacts(email) if email else ()
    return replace(appointment, newsletter=any(one.newsletter for one in contacts))


async def _as_it_is(
    client: ETerminClient,
    appointment: Appointment,
    polled: Polled,
    known: Mapping[str, Occasion],
    told_gone: Collection[str],
) -> tuple[Appointment | None, datetime]:
    """Return a changed appointment; one that is said to be deleted as well is read itself, for it may be a trace."""
    if appointment.id in told_gone or is_deleted(known.get(appointment.id)):
        return await client.appointment(appointment.id)
    return appointment, polled.feed.read_at


def _deletions(polled: Polled) -> list[tuple[Deletion, datetime]]:
    """Return each deletion once, as the list of deletions tells it rather than the feed."""
    listed = {one.appointment.id for one in polled.gone.deletions}
    found = [(one, polled.feed.read_at) for one in polled.feed.deletions if one.appointment.id not in listed]
    return found + [(one, polled.gone.read_at) for one in polled.gone.deletions]


def _note(found: list[Occasion], latest: dict[str, Occasion], key: str, occasions: Sequence[Occasion]) -> None:
    found += occasions
    latest.update((one.key, one) for one in occasions if one.key == key)


def _matters(appointment: Appointment, now: datetime) -> bool:
    last = appointment.end or appointment.start
    return last is not None and last >= now - KEPT_BACK
