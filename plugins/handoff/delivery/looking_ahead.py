"""Looking ahead: what the coming batches need, and starting early those that would be done late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.delivery.purpose import sparing_the_reserve
from handoff.delivery.sweep import CURSOR, Sweep
from handoff.errors import HandoffError
from handoff.ledger import batches, cursors, prospects, registrations
from handoff.ledger.bells import ring
from handoff.ledger.prospects import Ahead
from handoff.planning.forecast import Need, Outlook, forecast, requests_of

AHEAD = timedelta(hours=24)
LOOKS = tuple(timedelta(hours=hours) for hours in (24, 3))
"""So long before a moment its list is read, or when it is first heard of later than that."""
EARLY_LOOKS = tuple(timedelta(hours=hours) for hours in (24, 12, 6, 3, 2, 1))
"""The same for rules that start early, by as much as the list is long."""
UNSEEN = timedelta(minutes=2)
"""So long before it is to be seen something may be written to the ledger."""
LOOKED = "looked_ahead"
SAME = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Prospect:
    """A batch that waits, and what becomes of it.

    :param unknown: accounts whose limits nobody knows yet, because they were never opened.
    """

    ahead: Ahead
    outlook: Outlook
    unknown: tuple[str, ...]


async def look(connection: AsyncConnection, within: timedelta) -> list[Prospect]:
    """Return what becomes of the batches whose moments come within a time, behind all that is open already."""
    now = datetime.now(UTC)
    known = {one.account: one.now for one in await prospects.accounts(connection)}
    backlog = await prospects.open_requests(connection)
    waiting = await prospects.waiting(connection, within)
    needs = [Need(sum(backlog.values()), now, backlog)]
    for one in waiting:
        needed = requests_of(one.rule.steps, one.listed, known)
        needs.append(Need(one.listed, one.due_at, needed, one.rule.start_early))
    outlooks = forecast(needs, known, now)[1:]
    return [
        Prospect(one, outlook, tuple(sorted(outlook.need.requests.keys() - known.keys())))
        for one, outlook in zip(waiting, outlooks, strict=True)
    ]


async def start_early(connection: AsyncConnection, found: Sequence[Prospect], owner: str = "") -> list[Prospect]:
    """Let the batches start early whose rules want it; return those that start at another time than was known.

    :param owner: who has claimed them; what others work on stays as it is.
    """
    changed = []
    for one in found:
        starts_at, ahead = one.outlook.begins_at, one.ahead
        if not ahead.rule.start_early or ahead.read_at is None:
            continue
        if abs((ahead.starts_at or ahead.due_at) - min(starts_at, ahead.due_at)) < SAME:
            continue
        if await batches.start_early(connection, ahead.batch_id, ahead.due_at, starts_at, owner):
            changed.append(one)
    if changed:
        await ring(connection)
    return changed


async def look_ahead(sweep: Sweep) -> None:
    """Read the lists of the next 24 hours, each a few times, and start early what would be done late."""
    now = datetime.now(UTC)
    async with sweep.engine.connect() as connection:
        waiting = await prospects.waiting(connection, AHEAD)
        looked = await cursors.read(connection, CURSOR, LOOKED)
    last = datetime.fromisoformat(looked) if looked else now - AHEAD
    for one in {one.known.id: one for one in waiting if _is_its_turn(one, last, now)}.values():
        with sweep.attempt(f"look_ahead {one.known.occasion.source}/{one.known.occasion.account}"):
            await _read(sweep, one)
    async with sweep.engine.begin() as connection:
        await cursors.write(connection, CURSOR, LOOKED, now.isoformat())
        await start_early(connection, await look(connection, AHEAD))


def _is_its_turn(one: Ahead, last: datetime, now: datetime) -> bool:
    """Tell whether a list is to be read now, when the lists were last looked through at ``last``."""
    if one.due_at < now:
        return False
    # Not whenever it was never read: of an empty list nothing is kept, and it would be read at every sweep.
    turns = [one.due_at - before for before in (EARLY_LOOKS if one.rule.start_early else LOOKS)]
    news = one.read_at is None and one.heard_at > last - UNSEEN
    return news or any(last < turn <= now for turn in turns)


async def _read(sweep: Sweep, one: Ahead) -> None:
    occasion = one.known.occasion
    try:
        source = await sweep.open_source(occasion.source, occasion.account)
        with sparing_the_reserve():
            roster = await source.roster(occasion, None)
    except HandoffError:
        # The comparison and the rule's own run say so; until then it is not known how many there will be.
        return
    async with sweep.engine.begin() as connection:
        await registrations.store(connection, one.known.id, roster)
