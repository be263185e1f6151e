"""Of a local time that comes twice, when the clocks are put back: which of the two a vendor means that does not say."""

from __future__ import annotations

from datetime import UTC, datetime


def latest_past(local: datetime, now: datetime) -> datetime:
    """Return the moment (UTC) at which something happened: the second of the two once it has passed, else the first.

    What is news is never taken for old so; what is old may count as an hour younger. A time that the clocks skip is
    moved forward by the gap.

    :param local: aware, with the zone whose local time it is. :param now: aware.
    """
    first, second = (local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    return second if first < second <= now else first
