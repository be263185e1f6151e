"""Each source's own lists against the ledger: what was never heard is recorded, who is missing is judged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.healing import heal
from handoff.delivery.purpose import sparing_the_reserve
from handoff.errors import HandoffError, QuotaUsedUp
from handoff.ledger import certificates, comparisons, registrations
from handoff.ledger.certificates import Count
from handoff.ledger.comparisons import ToCompare
from handoff.ledger.quotas import next_day
from handoff.occasion import MOVABLE, Occasion
from handoff.planning.missed import LOOK_BACK
from handoff.planning.planner import plan_new_rules, record
from handoff.registration import Roster
from handoff.rules.rule import Rule
from handoff.source import Listing, ListsTold, Source

OpenSource = Callable[[str, str], Awaitable[Source]]
"""Opens a source account, once: ``(source, connection id)``; whoever gave it closes what it opened."""


@dataclass(slots=True)
class Compared:
    """What a comparison found and healed.

    :param read_at: when the account's own list of occasions was read (aware), ``None`` when it was not.
    :param lists: how many lists were read. :param same: how many the listing spared: nothing became new on them.
    :param recorded: events that the ledger had not heard.
    :param missing: entries of judged lists that the ledger did not know. :param healed: entries judged now.
    :param red: certificates that were not even before they were healed.
    :param troubles: lists that could not be read, in words without contact data.
    :param put_off_until: the day's requests for polling are used up; the rest is compared from then on (aware).
    :param unforeseen: errors among them that are none of our own.
    """

    read_at: datetime | None = None
    occasions: int = 0
    lists: int = 0
    same: int = 0
    recorded: int = 0
    missing: int = 0
    healed: int = 0
    red: list[Count] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    put_off_until: datetime | None = None
    unforeseen: list[Exception] = field(default_factory=list)

    def trouble(self, what: str, error: Exception) -> None:
        """Note a list that could not be compared; the others are, if the day has requests for them."""
        if isinstance(error, QuotaUsedUp):
            now = datetime.now(UTC)
            self.put_off_until = now + timedelta(seconds=error.retry_after) if error.retry_after else next_day(now)
            return
        foreseen = isinstance(error, HandoffError)
        # The words of others' errors may quote what the source said of a person.
        self.troubles.append(f"{what}: {error if foreseen else type(error).__name__}")
        self.unforeseen += [] if foreseen else [error]


async def compare_account(
    engine: AsyncEngine,
    open_source: OpenSource,
    name: tuple[str, str],
    rules: Sequence[Rule],
    *,
    lists: bool = True,
    everything: bool = False,
) -> Compared:
    """Compare one account: its occasions, and the lists of those that were handed over; never from the day's reserve.

    :param name: source and account. :param rules: the account's rules as they are now.
    :param lists: ``False`` compares only what has a red certificate.
    :param everything: also the lists that were compared lately.
    """
    compared, told = Compared(), None
    with sparing_the_reserve():
        try:
            if lists:
                told = await _compare_occasions(engine, await open_source(*name), name, rules, compared)
                compared.read_at = datetime.now(UTC)
        except Exception as error:
            compared.trouble("dates", error)
        async with engine.begin() as connection:
            since = datetime.now(UTC) - LOOK_BACK
            if told:
                compared.same = await comparisons.same(connection, *name, since=since, told=told)
            due = await comparisons.due(connection, *name, since=since, lists=lists, everything=everything, told=told)
        for one in due:
            if compared.put_off_until:
                break
            try:
                await _compare_list(engine, await open_source(*name), one, compared)
            except Exception as error:
                compared.trouble(one.known.occasion.key, error)
    return compared


async def _compare_occasions(
    engine: AsyncEngine, source: Source, name: tuple[str, str], rules: Sequence[Rule], compared: Compared
) -> ListsTold | None:
    """Let the ledger follow the account's own list of occasions; return what it says of their lists."""
    async with engine.connect() as connection:
        waited_for = [known.occasion for known in await comparisons.waited_for(connection, *name)]
    recent = datetime.now(UTC) - LOOK_BACK
    # What is listed need not be asked for one by one, however long ago a follow-up counts from.
    listing = await source.occasions(min([recent, *map(_end, waited_for)]))
    keys = {known.key for known in waited_for}
    found = [one for one in listing.occasions if listing.only_changes or one.key in keys or _told(one) >= recent]
    compared.occasions += len(found)
    compared.recorded += (await record(engine, found, rules)).events
    if not listing.only_changes:
        compared.recorded += await _record_gone(engine, source, waited_for, listing, rules)
    await plan_new_rules(engine, *name, rules)
    return listing.lists


def _end(occasion: Occasion) -> datetime:
    """Return until when it takes place, by which sources list, rather than when something happened to it."""
    planned = [moment for name, moment in occasion.anchors.items() if name in MOVABLE]
    return max(planned) if planned else _told(occasion)


def _told(occasion: Occasion) -> datetime:
    return max(occasion.anchors.values(), default=datetime.now(UTC))


async def _record_gone(
    engine: AsyncEngine, source: Source, waited_for: Sequence[Occasion], listing: Listing, rules: Sequence[Rule]
) -> int:
    """Record as cancelled what batches wait for and the source has no more; each is asked for once more."""
    listed = {occasion.key for occasion in listing.occasions}
    now = [(known, await source.occasion(known)) for known in waited_for if known.key not in listed]
    return (await record(engine, [found or gone(known) for known, found in now], rules)).events


def gone(known: Occasion) -> Occasion:
    """Return the report of an occasion that its source does not have any more."""
    return replace(known, cancelled=True, changed=0.0)


async def _compare_list(engine: AsyncEngine, source: Source, one: ToCompare, compared: Compared) -> None:
    """Compare an occasion's list with what its judged batches know; judge who is left over; certify."""
    roster = await _roster(source, one.known.occasion)
    async with engine.begin() as connection:
        before = await comparisons.refs(connection, one.known.id)
        await registrations.store(connection, one.known.id, roster)
        # What is not kept on purpose, like a person who was erased, is not missing.
        new = await comparisons.refs(connection, one.known.id) - before
    compared.lists += 1
    for batch_id in one.batch_ids:
        await _compare_batch(engine, batch_id, roster, new, compared)


async def _roster(source: Source, known: Occasion) -> Roster:
    """Read an occasion's list; one that was deleted after its handover has none any more."""
    try:
        return await source.roster(known, None)
    except QuotaUsedUp:
        raise
    except HandoffError:
        if await source.occasion(known) is not None:
            raise
        now = datetime.now(UTC)
        return Roster(now, now, ())


async def _compare_batch(engine: AsyncEngine, batch_id: int, roster: Roster, new: set[str], compared: Compared) -> None:
    found = await _certify(engine, batch_id, roster, new)
    if not found.even:
        compared.red.append(found)
        compared.missing += found.missing
    elif not await _any_readable(engine, batch_id):
        return
    if healed := await heal(engine, batch_id, roster):
        compared.healed += healed
        await _certify(engine, batch_id, roster, set())


async def _any_readable(engine: AsyncEngine, batch_id: int) -> bool:
    async with engine.connect() as connection:
        return bool(await comparisons.readable(connection, batch_id))


async def _certify(engine: AsyncEngine, batch_id: int, roster: Roster, new: set[str]) -> Count:
    """Count and write; ``new`` are the entries of which the ledger knew nothing."""
    async with engine.begin() as connection:
        counted = await certificates.count(connection, batch_id)
        by_then = {entry.ref for entry in roster.registrations if entry.registered_at <= counted.moment}
        missing = max(counted.missing, len(by_then & new)) if not counted.even else 0
        counted = replace(counted, missing=missing, compared_at=roster.read_at)
        await certificates.write(connection, counted)
    return counted
