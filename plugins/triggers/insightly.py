"""Waiting for Insightly without a worker: records that come into a state."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hooks.accounts import connection_of
from hooks.insightly import InsightlyClient
from hooks.protocols.insightly_arrivals import Lookout, Sight, Wanted
from hooks.protocols.insightly_records import RecordKind
from triggers.polling import PollingTrigger

log = logging.getLogger(__name__)


class InsightlyStateTrigger(PollingTrigger):
    """Fires when opportunities or projects have come into a state.

    Success: ``{"status": "success", "records": ["opportunity/31", ...], "state": "won", "moment": ISO,
    "cursor": ISO}``; see :class:`sensors.insightly.InsightlySensor`. After a restart of the triggerer it reads again
    from where it began, and finds the same.

    :param kind: ``opportunity`` or ``project``. :param states: upper case; empty for any.
    :param since: ISO with a zone, see :class:`~hooks.protocols.insightly_arrivals.Wanted`, like the following ones.
    :param cursor: ISO; changes are read from here on, ``None`` for ``since``.
    :param poll_interval: seconds between two reads.
    """

    least_patience_seconds = 4 * 3600.0

    def __init__(
        self,
        insightly_conn_id: str,
        kind: RecordKind,
        states: Sequence[str],
        since: str,
        tag: str = "",
        without_tag: str = "",
        record_id: int | None = None,
        cursor: str | None = None,
        poll_interval: float = 3600.0,
        not_before: float = 0.0,
    ) -> None:
        super().__init__(poll_interval, not_before)
        self.insightly_conn_id = insightly_conn_id
        wanted = Wanted(kind, frozenset(states), datetime.fromisoformat(since), tag, without_tag, record_id)
        self.lookout = Lookout(wanted, datetime.fromisoformat(cursor) if cursor else None)

    def arguments(self) -> dict[str, Any]:
        """Return account, what is waited for, and from where on changes are read."""
        wanted = self.lookout.wanted
        return {
            "insightly_conn_id": self.insightly_conn_id,
            "kind": wanted.kind,
            "states": sorted(wanted.states),
            "since": wanted.since.isoformat(),
            "tag": wanted.tag,
            "without_tag": wanted.without_tag,
            "record_id": wanted.record_id,
            "cursor": self.lookout.cursor.isoformat(),
        }

    async def look(self) -> tuple[dict[str, Any] | None, float]:
        """Read once; nothing stays open until the next read, and a key that is replaced meanwhile is taken up."""
        connection = await connection_of(self.insightly_conn_id)
        async with InsightlyClient.from_connection(self.insightly_conn_id, connection) as client:
            self.pace_seconds = client.pace_seconds
            sight = await client.carry(self.lookout.look(client.account.calls))
        for problem in sight.problems:
            log.warning("%s: %s", self.insightly_conn_id, problem)
        return _event_of(sight), sight.settles_in or self.poll_interval


def _event_of(sight: Sight) -> dict[str, Any] | None:
    """Return the event of what was seen: ids and no more. ``None`` while there is none, or its second is not over.

    A second that is not over may bring more, and who goes on after it would miss that.
    """
    if not sight.arrivals or sight.settles_in:
        return None
    last = sight.arrivals[-1]
    return {
        "status": "success",
        "records": [arrival.record for arrival in sight.arrivals],
        "state": last.state.lower(),
        "moment": last.moment.isoformat(),
        "cursor": sight.cursor.isoformat(),
    }
