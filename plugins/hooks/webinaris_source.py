"""Webinaris as the delivery engine sees it: its dates, and one last look at a date and its list."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Self

from airflow.sdk import Connection

from handoff.delivery.purpose import LOOKING
from handoff.errors import Transient
from handoff.occasion import Occasion
from handoff.registration import Roster
from handoff.source import Listing
from hooks.webinaris import WebinarisClient

log = logging.getLogger(__name__)


class WebinarisSource:
    """One Webinaris account (implements :class:`handoff.source.Source`)."""

    def __init__(self, client: WebinarisClient) -> None:
        self._client = client

    @classmethod
    def from_connection(cls, conn_id: str, connection: Connection) -> Self:
        """Build the source of a connection. :raises WrongCredentials: it cannot be used."""
        return cls(WebinarisClient.from_connection(conn_id, connection, purposes=LOOKING))

    async def occasions(self, since: datetime) -> Listing:
        """Return the account's dates that end after ``since`` (aware).

        :raises TargetError: they cannot be read now.
        """
        dates = await self._client.dates()
        for problem in dates.problems:
            log.warning("%s: a date is left out: %s", self._client.account.conn_id, problem)
        recent = tuple(occasion for occasion in dates.occasions if max(occasion.anchors.values()) >= since)
        return Listing(recent)

    async def occasion(self, known: Occasion) -> Occasion | None:
        """Return the date as it is now, ``None`` when it is not listed any more.

        :raises TargetError: it cannot be read now, or some listed entry is unreadable and may be this one.
        """
        dates = await self._client.dates(webinar_id=known.series)
        for occasion in dates.occasions:
            if occasion.key == known.key:
                return occasion
        if dates.problems:
            raise Transient(known.account, "read the webinar dates", "an entry cannot be read and may be this date")
        return None

    async def roster(self, known: Occasion, since: datetime | None) -> Roster:
        """Return who is listed for the date, or the entries that changed since.

        :raises TargetError: it cannot be read now.
        """
        listed = await self._client.roster(known.key, since.timestamp() if since else None)
        for problem in listed.problems:
            log.warning("%s: an entry of the participant list is left out: %s", known.account, problem)
        return listed.roster

    async def close(self) -> None:
        """Release the connections; safe to call twice."""
        await self._client.close()
