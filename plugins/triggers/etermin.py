"""Waiting for eTermin without a worker: appointments that are booked, changed or deleted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hooks.accounts import connection_of
from hooks.etermin import ETerminClient
from hooks.protocols.etermin_arrivals import Lookout, Sight, Wanted, events_of
from triggers.polling import PollingTrigger

log = logging.getLogger(__name__)


class ETerminAppointmentTrigger(PollingTrigger):
    """Fires when something has happened to appointments.

    Success: ``{"status": "success", "appointments": [ids], "event": "created", "moment": ISO, "cursor": text}``; see
    :class:`sensors.etermin.ETerminAppointmentSensor`. After a restart of the triggerer it reads again from where it
    began, and finds the same.

    :param events: see :class:`~hooks.protocols.etermin_arrivals.Wanted`, like the following ones.
    :param since: ISO with a zone. :param token: where the feed is read on; empty for everything.
    :param poll_interval: seconds between two reads.
    """

    least_patience_seconds = 4 * 3600.0

    def __init__(
        self,
        etermin_conn_id: str,
        events: Sequence[str],
        since: str,
        calendar: str = "",
        token: str = "",
        poll_interval: float = 300.0,
        not_before: float = 0.0,
    ) -> None:
        super().__init__(poll_interval, not_before)
        self.etermin_conn_id = etermin_conn_id
        self.lookout = Lookout(Wanted(events_of(events), datetime.fromisoformat(since), calendar), token)

    def arguments(self) -> dict[str, Any]:
        """Return account, what is waited for, and where the feed is read on."""
        wanted = self.lookout.wanted
        return {
            "etermin_conn_id": self.etermin_conn_id,
            "events": sorted(wanted.events),
            "since": wanted.since.isoformat(),
            "calendar": wanted.calendar,
            "token": self.lookout.token,
        }

    async def look(self) -> tuple[dict[str, Any] | None, float]:
        """Read once; nothing stays open until the next read, and keys that are replaced meanwhile are taken up."""
        connection = await connection_of(self.etermin_conn_id)
        async with ETerminClient.from_connection(self.etermin_conn_id, connection) as client:
            self.pace_seconds = client.pace_seconds * (1 + ("deleted" in self.lookout.wanted.events))
            sight = await client.carry(self.lookout.look(client.account.calls))
        for problem in sight.problems:
            log.warning("%s: %s", self.etermin_conn_id, problem)
        return _event_of(sight), self.poll_interval


def _event_of(sight: Sight) -> dict[str, Any] | None:
    """Return the event of what was seen: ids and no more. ``None`` while there is none."""
    if not sight.arrivals:
        return None
    last = sight.arrivals[-1]
    return {
        "status": "success",
        "appointments": list(dict.fromkeys(arrival.appointment for arrival in sight.arrivals)),
        "event": last.event,
        "moment": last.moment.isoformat(),
        "cursor": sight.cursor,
    }
