"""One poll of an Insightly account: the changes since the last one, and what they mean."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from handoff.errors import Transient
from handoff.occasion import Occasion
from handoff.planning.closings import WITH_HISTORY, Account, Watch, is_closed, is_same, is_unsure, name_of, occasions_of
from handoff.spellings import folded
from hooks.insightly import InsightlyClient
from hooks.insightly_cursor import FIRST_LOOK_BACK, PollCursor
from hooks.insightly_doubts import MOST, TRIES, Doubt, affordable, surplus, to_ask
from hooks.protocols.answers import Denied
from hooks.protocols.insightly_arrivals import in_state_since
from hooks.protocols.insightly_errors import UselessAnswer
from hooks.protocols.insightly_pages import PAGE
from hooks.protocols.insightly_records import Record, RecordKind

REQUESTS = 3
"""A poll of both kinds takes two requests when each fits one page. What is left of three is spent on the history of a
record that may have been opened and closed again, see :mod:`hooks.insightly_doubts`."""
FIRST_LOOK = timedelta(days=3)
"""So far back the first look goes at what has a history, so that afterwards a day of closing that is not before the
watch began says that it closed since. Of what has none it brings everything, or an edit would look like a closing."""


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll brought.

    :param records: what changed. :param problems: what could not be read; :func:`meaning` adds to it.
    :param cursor: to be written once everything is recorded. :param watches: by kind of record.
    :param spare: how many requests are left of :data:`REQUESTS`. :param most: how many histories the day allows.
    :param given_up: the problems because of which nobody will be handed over for a record.
    """

    records: tuple[Record, ...]
    problems: list[str]
    cursor: PollCursor
    watches: Mapping[RecordKind, Watch]
    spare: int
    most: int
    given_up: list[str] = field(default_factory=list)


async def poll(client: InsightlyClient, kinds: Collection[RecordKind], cursor: PollCursor) -> Polled:
    """Read what changed since the cursor: one request a page.

    :param kinds: the kinds of records that rules wait for. :raises TargetError: the account cannot be read now.
    """
    began, records, problems = datetime.now(UTC), list[Record](), list[str]()
    watches, since, spent = dict[RecordKind, Watch](), dict(cursor.since), 0
    for kind in sorted(kinds):
        watch = watches[kind] = cursor.watch(kind) or _begun(kind, cursor, began)
        changes = await client.changed(kind, watch.heard_to or _first_look(kind, began))
        records += changes.records
        problems += changes.problems
        spent += 1 + len(changes.records) // PAGE
        since[kind] = changes.cursor or watch.began
    watched = cursor.watched | {kind: watch.began for kind, watch in watches.items()}
    read_to = PollCursor(since, dict(cursor.doubtful), began, cursor.heeded, watched)
    most = affordable(client.account.limits.quota, spent)
    return Polled(tuple(records), problems, read_to, watches, max(0, REQUESTS - spent), most)


async def meaning(
    client: InsightlyClient, polled: Polled, known: dict[str, Occasion], account: Account
) -> Sequence[Occasion]:
    """Return the occasions that a poll means, in an order to record them; doubts that stay are kept in its cursor.

    :param known: the last occasion of each record, also of the doubtful ones.
    :raises TargetError: the account lets nobody in, or asks to wait. A history that cannot be read, or is not answered,
        becomes a problem.
    """
    found, doubtful = list[Occasion](), polled.cursor.doubtful
    for record in polled.records:
        found += _told(record, known.get(name_of(record)), polled, account)
    latest = known | {occasion.series: occasion for occasion in found}
    for name in [name for name, doubt in doubtful.items() if not account.waits_for(doubt.record)]:
        del doubtful[name]
    async for doubt, closed_at in _histories(client, polled):
        record, name = doubt.record, name_of(doubt.record)
        if closed_at is not None:
            found += occasions_of(record, latest.get(name), account, closed_at, polled.watches[record.kind])
        if closed_at is not None or doubt.given_up:
            del doubtful[name]
    _wait(doubtful, polled.given_up)
    polled.problems.extend(polled.given_up)
    return found


def _told(record: Record, before: Occasion | None, polled: Polled, account: Account) -> Sequence[Occasion]:
    """Return what a changed record means by itself, and note it when only its history can tell."""
    watch, doubtful, name = polled.watches[record.kind], polled.cursor.doubtful, name_of(record)
    doubt = doubtful.pop(name, None)
    unsure = is_unsure(record, before, watch) or (doubt is not None and is_closed(record))
    if unsure and account.waits_for(record):
        urgent = watch.heard_to is None or (before is None and record.closed_on is None)
        doubt = doubt or Doubt(record)
        doubtful[name] = replace(doubt, record=_kept(record, account), urgent=urgent)
        if not is_same(record, before):
            return ()
    elif unsure and before is None:
        return ()
    return tuple(occasions_of(record, before, account, watch=watch))


async def _histories(client: InsightlyClient, polled: Polled) -> AsyncIterator[tuple[Doubt, datetime | None]]:
    """Yield whose history was asked for, and since when they are in their state; ``None`` when that cannot be read.

    After one that is not answered at all no other is asked for: it may be the account, and each would take as long.
    """
    now = datetime.now(UTC)
    ready = [doubt for doubt in polled.cursor.doubtful.values() if not doubt.rests(now)]
    for doubt in to_ask(ready, polled.spare, polled.most):
        closed_at, answered, words = None, True, "its history does not say since when it is in its state"
        try:
            closed_at = in_state_since(doubt.record, await client.state_history(doubt.record.id))
        except (Denied, Transient) as error:
            answered, words = isinstance(error, Denied | UselessAnswer), str(error)
            polled.problems.append(f"{name_of(doubt.record)}: {words}")
        if closed_at is None:
            _failed(doubt, words, polled.given_up)
        yield doubt, closed_at
        if not answered:
            return


def _failed(doubt: Doubt, words: str, given_up: list[str]) -> None:
    doubt.fail(datetime.now(UTC))
    if doubt.given_up:
        name = name_of(doubt.record)
        given_up.append(f"{name}: given up after {TRIES} times, so it is not known when it was closed: {words}")


def _wait(doubtful: dict[str, Doubt], given_up: list[str]) -> None:
    """Let doubts wait for the next poll, and give up what is too much."""
    for doubt in doubtful.values():
        doubt.waited += 1
    if too_many := [name_of(doubt.record) for doubt in surplus(doubtful.values())]:
        words = f"more than {MOST} closed opportunities changed faster than their histories can be asked for"
        given_up.append(f"{words}: {len(too_many)} are left out, among them {too_many[0]}")
    for name in too_many:
        del doubtful[name]


def _begun(kind: RecordKind, cursor: PollCursor, now: datetime) -> Watch:
    began = now - FIRST_LOOK_BACK
    return Watch(min(cursor.since.get(kind, began), began))


def _first_look(kind: RecordKind, now: datetime) -> datetime | None:
    return now - FIRST_LOOK if kind in WITH_HISTORY else None


def _kept(record: Record, account: Account) -> Record:
    """Return a record with no more tags than rules ask about."""
    tags = frozenset(tag for tag in record.tags if folded(tag) in account.asked_tags)
    return replace(record, tags=tags, contact_ids=())
