"""One poll of an Insightly account: the changes since the last one, and what they mean."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from handoff.closings import Account, is_closed, is_older_news, may_be_closed_again, name_of, occasions_of, plain
from handoff.occasion import Occasion
from hooks.insightly import InsightlyClient
from hooks.insightly_cursor import PollCursor
from hooks.protocols.insightly_arrivals import came_into
from hooks.protocols.insightly_pages import PAGE
from hooks.protocols.insightly_records import Record, RecordKind

REQUESTS = 3
"""A poll of both kinds takes two requests when each fits one page. What is left of three is spent on the histories
of records that may have been opened and closed again; the others of them wait for the next poll."""
FIRST_LOOK_BACK = timedelta(hours=1)
"""What was closed before an account was first polled is not handed over, like webinars of last year."""


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll brought.

    :param records: what changed. :param cursor: to be written once everything is recorded.
    :param spare: how many requests are left for histories.
    """

    records: tuple[Record, ...]
    problems: tuple[str, ...]
    cursor: PollCursor
    spare: int


async def poll(client: InsightlyClient, kinds: Collection[RecordKind], cursor: PollCursor) -> Polled:
    """Read what changed since the cursor: one request a page.

    :param kinds: the kinds of records that rules wait for. :raises TargetError: the account cannot be read now.
    """
    began, records, problems = datetime.now(UTC), list[Record](), list[str]()
    since, spent = dict(cursor.since), 0
    for kind in sorted(kinds):
        changes = await client.changed(kind, since.setdefault(kind, began - FIRST_LOOK_BACK))
        records += changes.records
        problems += changes.problems
        spent += 1 + len(changes.records) // PAGE
        if changes.cursor is not None:
            since[kind] = changes.cursor
    read_to = PollCursor(since, dict(cursor.doubtful), began, cursor.heeded)
    return Polled(tuple(records), tuple(problems), read_to, max(0, REQUESTS - spent))


async def meaning(
    client: InsightlyClient, polled: Polled, known: dict[str, Occasion], account: Account
) -> Sequence[Occasion]:
    """Return the occasions that a poll means, in an order to record them; doubts that stay are kept in its cursor.

    :param known: the last occasion of each record, also of the doubtful ones.
    :raises TargetError: a history cannot be read now.
    """
    found, doubtful = list[Occasion](), polled.cursor.doubtful
    for record in polled.records:
        name, before = name_of(record), known.get(name_of(record))
        doubtful.pop(name, None)
        unheard = _has_history(record) and is_older_news(record, before)
        if unheard or (_has_history(record) and may_be_closed_again(record, before)):
            doubtful[name] = _kept(record, account)
        if not unheard:
            found += occasions_of(record, before, account)
    latest = known | {occasion.series: occasion for occasion in found}
    # The newest first: an edit of thousands of old records must not keep one that was just won waiting.
    newest = sorted(doubtful.values(), key=lambda record: record.updated_at, reverse=True)
    for record in newest[: polled.spare]:
        closed_at = await _closed_at(client, record)
        found += occasions_of(record, latest.get(name_of(record)), account, closed_at)
        del doubtful[name_of(record)]
    return found


async def _closed_at(client: InsightlyClient, record: Record) -> datetime | None:
    """Return when an opportunity came into the state that it is in, ``None`` when its history does not say so."""
    return came_into(record.state, await client.state_history(record.id))


def _has_history(record: Record) -> bool:
    return record.kind == "opportunity" and is_closed(record)


def _kept(record: Record, account: Account) -> Record:
    """Return a record with no more tags than rules ask about."""
    tags = frozenset(tag for tag in record.tags if plain(tag) in account.asked_tags)
    return Record(record.kind, record.id, record.state, record.created_at, record.updated_at, record.closed_on, tags)
