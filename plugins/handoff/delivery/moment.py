"""The exact moment of a batch: wait for it, take the last look, judge, and let the effects go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.judging_run import JudgingRun
from handoff.delivery.rehearsal import rehearse
from handoff.ledger import batches, registrations, rule_versions
from handoff.ledger.batches import WaitingBatch
from handoff.occasion import Occasion
from handoff.permission import End, permit
from handoff.planner import Planned, record_one
from handoff.registration import Roster
from handoff.rule import Rule
from handoff.source import Source
from handoff.timing import recipient_zone

LATE = "later than late_after when it could be judged"
NOT_SELECTED = "no_longer_selected"
PREPARING = timedelta(seconds=3)
"""Shorter than vendors keep an idle connection open."""
AHEAD = timedelta(seconds=0.5)
"""So long the batch and its lanes may stay locked before the moment."""
PRESENCE_PATIENCE = timedelta(hours=24)
LOOK_AGAIN_SECONDS, LONGEST_LOOK_AGAIN_SECONDS = 15.0, 600.0

Prepare = Callable[[], Awaitable[None]]


async def first_look(engine: AsyncEngine, batch: WaitingBatch, source: Source) -> int:
    """Store the source's whole list ahead of the moment, so that the last look is small.

    :returns: how many entries the source lists.
    """
    roster = await source.roster(batch.occasion.occasion, None)
    async with engine.begin() as connection:
        await registrations.store_whole(connection, batch.occasion.id, roster)
    return len(roster.registrations)


async def attend(
    engine: AsyncEngine,
    batch: WaitingBatch,
    source: Source,
    wake: Callable[[], None],
    prepare: Prepare | None = None,
    frozen: Callable[[], bool] = lambda: False,
    turn: asyncio.Lock | None = None,
) -> str:
    """Wait for the batch's moment, look at the source once more, and judge the audience for that moment.

    :param wake: called whenever effects have become ready.
    :param prepare: what can be done a little before the moment, so that it need not be done after it.
    :param frozen: tells at the moment whether the batch is to wait as it is; it is judged when that is over.
    :param turn: see :class:`handoff.delivery.judging_run.JudgingRun`; shared by the batches of a rule.
    :returns: what became of the batch: ``judged``, ``moved``, ``cancelled``, ``postponed``, ``frozen``,
        ``held`` or ``skipped``.
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
        # What fails now will say so then.
        ahead = [_no_news(batch, rule, source, since), rehearse(engine, batch, rule), *([prepare()] if prepare else [])]
        no_news = (await asyncio.gather(*ahead, return_exceptions=True))[0] is True
    async with JudgingRun(engine, batch, rule, wake, turn or asyncio.Lock()) as judging:
        await sleep_until(moment - AHEAD)
        if seen_until and no_news and not rule.needs_presence and not frozen():
            await judging.begin_ahead(seen_until)
        await sleep_until(moment)
        if judging.begun and not frozen() and await _no_news(batch, rule, source, since):
            return "judged" if await judging.finish() else "moved"
        await judging.take_back()
        return await _decide(engine, batch, rule, source, since, judging, frozen)


async def _no_news(batch: WaitingBatch, rule: Rule, source: Source, since: datetime | None) -> bool:
    """Look at the source once more, and tell whether everything is as the ledger knows it."""
    known = batch.occasion.occasion
    if rule.late_after.too_late(datetime.now(UTC), batch.due_at):
        return False
    now, roster = await _look(source, known, since)
    if now is None or now.cancelled or now.anchors != known.anchors or not rule.selects(now):
        return False
    return isinstance(roster, Roster) and not roster.registrations and not roster.unreadable


async def _decide(
    engine: AsyncEngine,
    batch: WaitingBatch,
    rule: Rule,
    source: Source,
    since: datetime | None,
    judging: JudgingRun,
    frozen: Callable[[], bool],
) -> str:
    """Look at the source for the last time, follow what changed, and judge."""
    known = batch.occasion.occasion
    if frozen():
        async with engine.begin() as connection:
            await batches.postpone(connection, batch.id, 0.0, "frozen")
        return "frozen"
    if late := await _late(engine, batch, rule):
        async with engine.begin() as connection:
            await batches.close(connection, batch.id, late.state, LATE if late.state == "held" else late.reason)
        return late.state
    now, roster = await _look(source, known, since)
    if changed := await _follow(engine, known, now):
        return changed
    if now is not None and now.source == rule.source and not rule.selects(now):
        async with engine.begin() as connection:
            await batches.close(connection, batch.id, "cancelled", NOT_SELECTED)
        return "cancelled"
    if not isinstance(roster, Roster):
        raise roster
    if roster.registrations or roster.unreadable:
        async with engine.begin() as connection:
            await registrations.store(connection, batch.occasion.id, roster)
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


async def _follow(engine: AsyncEngine, known: Occasion, now: Occasion | None) -> str | None:
    """Record what the last look found changed; the planner moves or cancels the batch."""
    if now is not None and now.anchors == known.anchors and not now.cancelled:
        return None
    gone = now if now is not None else _gone(known)
    async with engine.begin() as connection:
        await record_one(connection, gone, [], Planned())
    return "cancelled" if gone.cancelled else "moved"


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
    async with engine.begin() as connection:
        if _out_of_patience(batch):
            await batches.close(connection, batch.id, "held", "presence_never_arrived")
            return "held"
        await batches.postpone(connection, batch.id, look_again_seconds(batch), "presence_late")
    return "postponed"


def look_again_seconds(batch: WaitingBatch) -> float:
    """Return how long to wait for a source that was not ready: a quarter of what has been waited so far."""
    waited = (datetime.now(UTC) - batch.due_at).total_seconds()
    return min(max(LOOK_AGAIN_SECONDS, waited / 4), LONGEST_LOOK_AGAIN_SECONDS)
