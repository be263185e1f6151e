"""One poll of an eTermin account: what changed and what was deleted since the last one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from handoff.occasion import Occasion
from hooks.etermin import ETerminClient
from hooks.etermin_cursor import FeedCursor
from hooks.etermin_report import Report
from hooks.protocols.etermin import Read
from hooks.protocols.etermin_appointments import Appointment
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
    :param met: what could not be read while its meaning was found out, without contact data.
    """

    feed: Read
    gone: Read
    cursor: FeedCursor
    met: list[str] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """The ids of all appointments that it is about, each once."""
        deletions = (one.appointment for one in (*self.feed.deletions, *self.gone.deletions))
        return sorted({one.id for one in (*self.feed.appointments, *deletions)})

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read, without contact data."""
        return (*self.feed.problems, *self.gone.problems, *self.met)

    def reports(self, known: Mapping[str, Occasion]) -> list[Report]:
        """Return what was told, each deletion once, as the list of deletions tells it rather than the feed.

        :param known: the appointments' own occasions in the ledger by key.
        """
        listed = {one.appointment.id for one in self.gone.deletions}
        found = [Report(self._listed(one, known.get(one.id)), self.feed.read_at) for one in self.feed.appointments]
        found += [Report.of(one, self.feed.read_at) for one in self.feed.deletions if one.appointment.id not in listed]
        return found + [Report.of(one, self.gone.read_at) for one in self.gone.deletions]

    def _listed(self, appointment: Appointment, known: Occasion | None) -> Appointment:
        """Return an appointment with the revision that counts: a full reading lists also what did not change."""
        before = str(known.facts.get("revision", "")) if known is not None and self.feed.full else ""
        return replace(appointment, revision=before or appointment.revision)


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


def _matters(appointment: Appointment, now: datetime) -> bool:
    last = appointment.end or appointment.start
    return last is not None and last >= now - KEPT_BACK
