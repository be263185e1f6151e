"""Waiting for Webinaris without a worker: a date's start or end, or any change of a date."""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from handoff.occasion import Occasion
from hooks.accounts import connection_of
from hooks.protocols.webinaris_assumed import DateList, UnknownDate
from hooks.webinaris import WebinarisClient
from triggers.polling import PollingTrigger

Anchor = Literal["start", "end"]


@dataclass(frozen=True, slots=True)
class Moment:
    """Which moment of which webinar date is waited for.

    :param anchor: ``start`` or ``end``. :param minutes_after: elapsed minutes to add.
    :param date_id: this date, whether its moment is to come or has passed.
    :param webinar_id: any date of this webinar whose moment is not before ``since``; empty: of any webinar.
    :param since: unix seconds.
    """

    anchor: Anchor
    webinar_id: str
    date_id: str
    minutes_after: float
    since: float

    def event(self, listed: DateList, now: datetime) -> dict[str, Any] | None:
        """Return the event when the moment has passed or the date was cancelled, else ``None``.

        :raises UnknownDate: the date ``date_id`` is not listed, nor any entry that cannot be read.
        """
        dates = [occasion for occasion in listed.occasions if self._meant(occasion)]
        if self.date_id and not dates and not listed.problems:
            raise UnknownDate(f"Webinaris lists no date {self.date_id!r}; it may have been deleted")
        if self.date_id and any(date.cancelled for date in dates):
            return {"status": "cancelled", "date_ids": [self.date_id]}
        passed = sorted((self.at(date), date.key) for date in dates if self._waits(date) and self.at(date) <= now)
        if not passed:
            return None
        return {"status": "success", "date_ids": [key for _, key in passed], "moment": passed[-1][0].isoformat()}

    def seconds_to_next(self, listed: DateList, now: datetime) -> float | None:
        """Return the seconds until the next moment, or ``None`` when no date with one is listed."""
        moments = [self.at(date) for date in listed.occasions if self._meant(date) and self._waits(date)]
        return min(((moment - now).total_seconds() for moment in moments if moment > now), default=None)

    def at(self, occasion: Occasion) -> datetime:
        """Return the moment of one date."""
        return occasion.anchors[self.anchor] + timedelta(minutes=self.minutes_after)

    def _meant(self, occasion: Occasion) -> bool:
        if self.date_id:
            return occasion.key == self.date_id
        return not self.webinar_id or occasion.series == self.webinar_id

    def _waits(self, occasion: Occasion) -> bool:
        return not occasion.cancelled and (bool(self.date_id) or self.at(occasion).timestamp() >= self.since)


class WebinarisTrigger(PollingTrigger):
    """Reads the dates again and again until they hold an event (see :class:`~triggers.polling.PollingTrigger`)."""

    def __init__(self, webinaris_conn_id: str, poll_interval: float, not_before: float = 0.0) -> None:
        super().__init__(poll_interval, not_before)
        self.webinaris_conn_id = webinaris_conn_id

    @abstractmethod
    async def read(self, client: WebinarisClient) -> tuple[dict[str, Any] | None, float]:
        """Read once; see :meth:`look`."""

    async def look(self) -> tuple[dict[str, Any] | None, float]:
        """Read once; nothing stays open until the next read, and a key that is replaced meanwhile is taken up."""
        connection = await connection_of(self.webinaris_conn_id)
        async with WebinarisClient.from_connection(self.webinaris_conn_id, connection) as client:
            self.pace_seconds = client.pace_seconds
            return await self.read(client)


class WebinarMomentTrigger(WebinarisTrigger):
    """Fires when the start or end of a webinar date has passed, wherever it was moved meanwhile.

    Success: ``{"status": "success", "date_ids": [...], "moment": ISO}``; a cancelled date:
    ``{"status": "cancelled", "date_ids": [...]}``. The arguments are those of :class:`Moment`.
    """

    def __init__(
        self,
        webinaris_conn_id: str,
        anchor: Anchor,
        webinar_id: str = "",
        date_id: str = "",
        minutes_after: float = 0.0,
        since: float = 0.0,
        poll_interval: float = 30.0,
        not_before: float = 0.0,
    ) -> None:
        super().__init__(webinaris_conn_id, poll_interval, not_before)
        self.moment = Moment(anchor, webinar_id, date_id, minutes_after, since)

    def arguments(self) -> dict[str, Any]:
        """Return account and moment."""
        return {"webinaris_conn_id": self.webinaris_conn_id, **asdict(self.moment)}

    async def read(self, client: WebinarisClient) -> tuple[dict[str, Any] | None, float]:
        """Read the dates; the next read is at the next moment or after the poll interval, whatever is first."""
        dates = await client.dates(webinar_id=self.moment.webinar_id)
        now = datetime.now(UTC)
        left = self.moment.seconds_to_next(dates, now)
        return self.moment.event(dates, now), min(self.poll_interval, left or self.poll_interval)


class WebinarChangedTrigger(WebinarisTrigger):
    """Fires when any webinar date changed after a cursor: ``{"status": "success", "changed": n, "cursor": unix}``.

    :param since: the cursor, unix seconds; give the event's ``cursor`` to the next trigger.
    :param at_most: seconds after which it fires without a change (``changed`` is 0), ``None`` for never.
    """

    def __init__(
        self,
        webinaris_conn_id: str,
        since: float,
        poll_interval: float,
        at_most: float | None = None,
        not_before: float = 0.0,
    ) -> None:
        super().__init__(webinaris_conn_id, poll_interval, not_before)
        self.since, self.at_most = since, at_most
        self._began = time.monotonic()

    def arguments(self) -> dict[str, Any]:
        """Return account, cursor and the longest wait."""
        return {"webinaris_conn_id": self.webinaris_conn_id, "since": self.since, "at_most": self.at_most}

    async def read(self, client: WebinarisClient) -> tuple[dict[str, Any] | None, float]:
        """Read what changed since the cursor."""
        event = change(await client.dates(updated_since=self.since), self.since)
        if event is None and self.at_most is not None and time.monotonic() - self._began >= self.at_most:
            event = {"status": "success", "changed": 0, "cursor": self.since}
        return event, self.poll_interval


def change(dates: DateList, since: float) -> dict[str, Any] | None:
    """Return the event for the dates that changed after ``since``, unreadable ones included, or ``None``.

    The cursor is the source's own time of the newest change, so its clock and ours need not agree.
    """
    if dates.cursor <= since:
        return None
    newer = sum(occasion.changed > since for occasion in dates.occasions)
    return {"status": "success", "changed": newer + len(dates.problems), "cursor": dates.cursor}
