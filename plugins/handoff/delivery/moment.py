"""The exact moment of a batch: wait for it, take the last look, judge, and let the effects go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.judging_run import JudgingRun
from handoff.delivery.sources import Sources
from handoff.delivery.warming import warm_up
from handoff.errors import HandoffError
from handoff.ledger import batches, registrations, rule_versions
from handoff.ledger.batches import WaitingBatch
from handoff.occasion import Occasion
from handoff.planning.planner import Planned, record_one
from handoff.registration import Roster
from handoff.rules.rule import Rule
from handoff.source import Source
from handoff.times.permission import End, permit
from handoff.times.timing import recipient_zone

LATE = "later than late_after when it could be judged"
NOT_SELECTED = "no_longer_selected"
PREPARING = timedelta(seconds=3)
"""Shorter than vendors keep an idle connection open."""
AHEAD = timedelta(seconds=0.5)
"""So long the batch and its lanes may stay locked before the moment."""
PRESENCE_PATIENCE = timedelta(hours=24)
LOOK_AGAIN_SECONDS, LONGEST_LOOK_AGAIN_SECONDS = 15.0, 600.0

Prepare = Callable[[], Awaitable[None]]
RulesOf = Callable[[str, str], Sequence[Rule]]
"""Returns the rules of a source account as they are now: ``(source, connection id)``."""
log = logging.getLogger(__name__)


def no_rules(source: str, account: str) -> Sequence[Rule]:
    """Know no rules as they are now: what they wait for stays with those that the ledger has."""
    return ()


async def first_look(engine: AsyncEngine, batch: WaitingBatch, source: Source) -> int:
    """Store the source's whole list ahead of the moment, so that the last look is small.

    :returns: how many entries the source lists.
    """
    roster = await source.roster(batch.occasion.occasion, None)
    async with engine.begin() as connection:
        await registrations.store_whole(connection, batch.occasion.id, roster)
    return len(roster.registrations)


async def first_looks(engine: AsyncEngine, claimed: Sequence[WaitingBatch], sources: Sources) -> int:
    """Take the first look at every batch's list; one that cannot be read is read whole at its moment.

    :returns: how many entries the lists have together.
    """
    listed = 0
    for batch in claimed:
        known = batch.occasion.occasion
        try:
            listed += await first_look(engine, batch, await sources.of(known.source, known.account))
        except HandoffError as error:
            log.warning("batch %s: %s; it is read again at its moment", batch.id, error)
    return listed


async def attend(
    engine: AsyncEngine,
    batch: WaitingBatch,
    source: Source,
    wake: Callable[[], None],
    prepare: Prepare | None = None,
    frozen: Callable[[], bool] = lambda: False,
    turn: asyncio.Lock | None = None,
    rules_of: RulesOf = no_rules,
) -> str:
    """Wait for the batch's moment, look at the source once more, and judge the audience for that moment.

    :param wake: called whenever effects have become ready.
    :param prepare: what can be done a little before the moment, so that it need not be done after it.
    :param frozen: tells at the moment whether the batch is to wait as it is; it is judged when that is over.
    :param turn: see :class:`handoff.delivery.judging_run.JudgingRun`; shared by the batches of a rule.
    :param rules_of: by them a date that this look finds moved is planned.
    :returns: what became of the batch: ``judged``, ``moved``, ``cancelled``, ``postponed``, ``frozen``,
        ``held`` or ``skipped``; ``moved`` also when it was planned anew, or cancelled while it was read.
    :raises HandoffError: when the source cannot be read; the batch stays waiting.
    """
    moment = max(batch.moment, batch.wake_at)
    await sleep_until(moment - PREPARING)
    async with engine.connect() as connection:
        rule = await rule_versions.load(connection, batch.rule_id, batch.rule_version)
        seen_until = await registrations.read_at(connection, batch.occasion.id)
    since = seen_until - timedelta(seconds=1) if seen_until else None
    no_news = False
    if datetime.now(UTC) < moment - PREPARING / 2:
        ahead = [_no_news(batch, rule, source, since), warm_up(engine, batch, rule), *([prepare()] if prepare else [])]
        no_news = (await _until(moment - AHEAD, *ahead))[0] is True
    async with JudgingRun(engine, batch, rule, wake, turn or asyncio.Lock()) as judging:
        await sleep_until(moment - AHEAD)
        if seen_until and no_news and not rule.needs_presence and not frozen():
            await judging.begin_ahead(seen_until)
        await sleep_until(moment)
        if judging.begun and not frozen() and await _no_news(batch, rule, source, since):
            return "judged" if await judging.finish() else "moved"
        await judging.take_back()
        return await _decide(engine, batch, rule, source, since, judging, frozen, rules_of)


async def _until(moment: datetime, *works: Awaitable[object]) -> list[object]:
    """Do things at the same time and break off what takes longer; what fails or hangs now will say so when needed.

    :returns: each one's result, or its exception.
    """
    doing = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(doing, timeout=max(0.0, (moment - datetime.now(UTC)).total_seconds()))
    finally:
        for one in doing:
            one.cancel()
        ended = await asyncio.gather(*doing, return_exceptions=True)
    return ended


async def _no_news(batch: WaitingBatch, rule: Rule, source: Source, since: datetime | None) -> bool:
    """Look at the source once more, and tell whether everything is as the ledger knows it."""
    known = batch.occasion.occasion
    if rule.late_after.too_late(datetime.now(UTC), batch.due_at):
        return False
    now, roster = await _look(source, known, since)
    if now is None or now.cancelled or now.anchors != known.anchors or not rule.selects(now):
        return False
    return isinstance(roster, Roster) and not _tells(roster)


def _tells(roster: Roster) -> bool:
    return bool(roster.registrations or roster.unreadable or roster.entire)


async def _decide(
    engine: AsyncEngine,
    batch: WaitingBatch,
    rule: Rule,
    source: Source,
    since: datetime | None,
    judging: JudgingRun,
    frozen: Callable[[], bool],
    rules_of: RulesOf,
) -> str:
    """Look at the source for the last time, follow what changed, and judge."""
    known = batch.occasion.occasion
    if frozen():
        return "frozen" if await put_off(engine, batch, 0.0, "frozen") else "moved"
    if late := await _late(engine, batch, rule):
        return await _end(engine, batch, late.state, LATE if late.state == "held" else late.reason)
    now, roster = await _look(source, known, since)
    if changed := await _follow(engine, batch, now, rules_of):
        return changed
    if now is not None and now.source == rule.source and not rule.selects(now):
        return await _end(engine, batch, "cancelled", NOT_SELECTED)
    if not isinstance(roster, Roster):
        raise roster
    if _tells(roster):
        store = registrations.store_whole if roster.entire else registrations.store
        async with engine.begin() as connection:
            await store(connection, batch.occasion.id, roster)
    if _complete(rule, batch, roster):
        facts: dict[str, str] = {}
    elif _out_of_patience(batch) and batch.late_allowed:
        facts = {"presence_until": roster.presence_until.isoformat()}
    else:
        return await _wait_for_presence(engine, batch)
    return "judged" if await judging.judge(roster.read_at, facts) else "moved"


async def _late(engine: AsyncEngine, batch: WaitingBatch, rule: Rule) -> End | None:
    """Return what becomes of a batch that is too late for everybody; windows may have postponed some or all."""
    now, zone = datetime.now(UTC), batch.occasion.occasion.timezone
    if batch.late_allowed or not rule.late_after.too_late(now, batch.due_at):
        return None
    zones = {zone}
    if rule.window_of(0):
        async with engine.connect() as connection:
            own = await registrations.zones(connection, batch.occasion.id)
        zones = {recipient_zone(name, zone) for name in own} or zones
    answers = [permit(rule, 0, name, batch.due_at, now) for name in sorted(zones)]
    ends = [answer for answer in answers if isinstance(answer, End)]
    return ends[0] if len(ends) == len(answers) else None


async def _look(
    source: Source, known: Occasion, since: datetime | None
) -> tuple[Occasion | None, Roster | BaseException]:
    """Read occasion and list at the same time; an occasion that is gone may well have no list."""
    now, roster = await asyncio.gather(source.occasion(known), source.roster(known, since), return_exceptions=True)
    if isinstance(now, BaseException):
        raise now
    return now, roster


async def sleep_until(moment: datetime) -> None:
    """Sleep until an aware moment on the wall clock; return at once when it has passed."""
    while (left := (moment - datetime.now(UTC)).total_seconds()) > 0:
        await asyncio.sleep(left)


async def _follow(engine: AsyncEngine, batch: WaitingBatch, now: Occasion | None, rules_of: RulesOf) -> str | None:
    """Record what the last look found changed; the planner moves or cancels the batch.

    One that was judged in part goes on when it waits as before.
    """
    known = batch.occasion.occasion
    if now is not None and now.anchors == known.anchors and not now.cancelled:
        return None
    gone = now if now is not None else _gone(known)
    async with engine.begin() as connection:
        await record_one(connection, gone, rules_of(known.source, known.account), Planned())
        if gone.cancelled:
            return "cancelled"
        goes_on = await batches.still_due(connection, batch) and await batches.begun(connection, batch.id)
    return None if goes_on else "moved"


def _gone(known: Occasion) -> Occasion:
    return Occasion(
        source=known.source, account=known.account, key=known.key, title=known.title, anchors=known.anchors,
        series=known.series, timezone=known.timezone, cancelled=True, facts=known.facts,
    )  # fmt: skip


def _complete(rule: Rule, batch: WaitingBatch, roster: Roster) -> bool:
    return not rule.needs_presence or roster.presence_until >= batch.moment


def _out_of_patience(batch: WaitingBatch) -> bool:
    return datetime.now(UTC) - batch.due_at > PRESENCE_PATIENCE


async def _wait_for_presence(engine: AsyncEngine, batch: WaitingBatch) -> str:
    """Presence that reaches up to the moment has not arrived: look again, for a day at most."""
    if _out_of_patience(batch):
        return await _end(engine, batch, "held", "presence_never_arrived")
    return "postponed" if await put_off(engine, batch, look_again_seconds(batch), "presence_late") else "moved"


async def _end(engine: AsyncEngine, batch: WaitingBatch, state: str, reason: str) -> str:
    """End a waiting that is not judged, unless it was moved or cancelled meanwhile; return what became of it."""
    async with engine.begin() as connection:
        if not await batches.still_due(connection, batch):
            return "moved"
        await batches.close(connection, batch.id, state, reason)
    return state


async def put_off(engine: AsyncEngine, batch: WaitingBatch, seconds: float, reason: str) -> bool:
    """Look at a batch again later; ``False`` when it was moved, cancelled or claimed by another run meanwhile."""
    async with engine.begin() as connection:
        return await batches.postpone(connection, batch, seconds, reason)


def look_again_seconds(batch: WaitingBatch) -> float:
    """Return how long to wait for a source that was not ready: a quarter of what has been waited so far."""
    waited = (datetime.now(UTC) - batch.due_at).total_seconds()
    return min(max(LOOK_AGAIN_SECONDS, waited / 4), LONGEST_LOOK_AGAIN_SECONDS)
