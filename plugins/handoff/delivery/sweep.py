"""The sweep: takes up what no bell rang for, and lets nobody stay unaccounted for.

Each of its parts fails alone: one lasting cause does not stop leftovers, certificates and retention together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.delivery.comparison import Compared, OpenSource, compare_account
from handoff.delivery.unforeseen import place
from handoff.errors import HandoffError
from handoff.ledger import alarms, bells, certificates, comparisons, cursors, notices, retention
from handoff.ledger.bells import Bell
from handoff.ledger.certificates import Count
from handoff.rules.rule import Rule

UNHEARD = timedelta(seconds=15)
"""What is due is left for so long to the bell, and to a run that is just coming to it."""
COMPARE_EVERY = timedelta(minutes=55)
"""With a sweep every five minutes, at least hourly."""
CURSOR = "sweep"
UNSERVED = "unserved/"


class SweepFailed(HandoffError):
    """Parts of a sweep failed; the others were done."""


@dataclass(slots=True)
class Sweep:
    """One sweep: what it works on, and what its steps have found.

    :param rules: the rules as they are now, of all sources.
    :param everything: compare every list now, whenever it was last compared.
    :param announce: is given each certificate that is news, before it is marked as published.
    :param unheard: rules that have something to do that nobody came for.
    :param published: certificates that are news, red ones that were healed meanwhile included.
    :param compared: by source and account.
    :param removed: how many rows of each kind were kept long enough.
    :param failed: why, by the part that failed; no contact data.
    """

    engine: AsyncEngine
    rules: Sequence[Rule]
    open_source: OpenSource
    compare_every: timedelta = COMPARE_EVERY
    everything: bool = False
    announce: Callable[[Count], None] = lambda counted: None
    unheard: list[str] = field(default_factory=list)
    published: list[Count] = field(default_factory=list)
    compared: dict[tuple[str, str], Compared] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def attempt(self, part: str) -> Iterator[None]:
        """Let a part fail alone: note why, and go on behind it."""
        try:
            yield
        except Exception as error:
            self.failed[part] = str(error) if isinstance(error, HandoffError) else place(error, part)


Step = Callable[[Sweep], Awaitable[None]]


async def take_up(sweep: Sweep) -> None:
    """Find the rules whose moments passed, or whose lanes are ready, and nobody came.

    Batches and lanes whose leases have ended are free again, so they count as well.
    """
    async with sweep.engine.begin() as connection:
        latest = datetime.now(UTC) - UNHEARD
        overdue = [bell for bell in await bells.due(connection, 0.0) if bell.moment < latest]
        meant = {rule_id for bell in overdue for rule_id in await _rules_of(connection, bell)}
        served = {rule.id for rule in sweep.rules}
        sweep.unheard = sorted(meant & served)
        for cause in await notices.still_open(connection, "late"):
            if cause.startswith(UNSERVED) and cause.removeprefix(UNSERVED) not in meant:
                await notices.close(connection, cause)
        for rule_id in sorted({bell.name for bell in overdue if bell.kind == "batch"} - served):
            await notices.notice(connection, f"{UNSERVED}{rule_id}", "late", _unserved(rule_id))
        if overdue:
            await bells.ring(connection)


async def _rules_of(connection: AsyncConnection, bell: Bell) -> list[str]:
    return [bell.name] if bell.kind == "batch" else await comparisons.rules_of_group(connection, bell.name)


def _unserved(rule_id: str) -> str:
    return (
        f"rule {rule_id}: moments have passed and there is no rule file of this id any more, so nobody is handed "
        f"over; put the file back, or drop what waits: handoff pending {rule_id} has the numbers for handoff resolve "
        "batch:NUMBER --drop"
    )


async def certify(sweep: Sweep) -> None:
    """Write the certificates that are not even and complete yet; a red one is compared with its source now."""
    async with sweep.engine.connect() as connection:
        unsettled = await certificates.to_certify(connection)
    for batch_id in unsettled:
        async with sweep.engine.begin() as connection:
            await certificates.write(connection, await certificates.count(connection, batch_id))


async def compare(sweep: Sweep) -> None:
    """Compare each source's own lists with the ledger: all when it is time, else those with a red certificate."""
    for name in sorted({(rule.source, rule.conn_id) for rule in sweep.rules}):
        with sweep.attempt(f"compare {'/'.join(name)}"):
            await _compare(sweep, name)


async def _compare(sweep: Sweep, name: tuple[str, str]) -> None:
    async with sweep.engine.connect() as connection:
        read = await cursors.read(connection, CURSOR, "/".join(name))
    last = datetime.fromisoformat(read) if read else None
    compared = await compare_account(
        sweep.engine,
        sweep.open_source,
        name,
        [rule for rule in sweep.rules if (rule.source, rule.conn_id) == name],
        lists=sweep.everything or last is None or datetime.now(UTC) - last >= sweep.compare_every,
        everything=sweep.everything,
    )
    sweep.compared[name] = compared
    await _remember(sweep, name, last, compared)
    if compared.unforeseen:
        part = f"compare {'/'.join(name)}"
        sweep.failed[part] = "; ".join(dict.fromkeys(place(error, part) for error in compared.unforeseen))


async def _remember(sweep: Sweep, name: tuple[str, str], last: datetime | None, compared: Compared) -> None:
    """Note when the account was compared, or until when that is put off; tell the team when it fails for long."""
    cause = f"comparison/{'/'.join(name)}"
    async with sweep.engine.begin() as connection:
        if compared.read_at:
            await cursors.write(connection, CURSOR, "/".join(name), compared.read_at.isoformat())
        if compared.read_at or compared.put_off_until:
            until = compared.put_off_until
            await cursors.write(connection, certificates.PUT_OFF, "/".join(name), until.isoformat() if until else "")
        if compared.troubles and (last is None or datetime.now(UTC) - last >= 2 * sweep.compare_every):
            words = f"lists of {name[1]} cannot be compared with the ledger: {compared.troubles[0]}"
            await notices.notice(connection, cause, "comparison", words, len(compared.troubles))
        elif compared.read_at:
            await notices.close(connection, cause)


async def look_round(sweep: Sweep) -> None:
    """Bring the notices of what is held, refused or late in line with the ledger."""
    async with sweep.engine.begin() as connection:
        await alarms.review(connection)


async def tidy(sweep: Sweep) -> None:
    """Remove what is kept no longer."""
    async with sweep.engine.begin() as connection:
        sweep.removed = await retention.apply_now_and_then(connection)


async def publish(sweep: Sweep) -> None:
    """Announce the certificates that are news; what cannot be announced is news to the next sweep too.

    Those that were red until they were healed come first.
    """
    async with sweep.engine.begin() as connection:
        red = [counted for compared in sweep.compared.values() for counted in compared.red]
        for counted in (*red, *await certificates.publish(connection)):
            sweep.announce(counted)
            sweep.published.append(counted)


STEPS: tuple[Step, ...] = (take_up, certify, compare, look_round, tidy)
"""What a sweep does, in this order; a further step is one more function here. :func:`publish` comes behind all."""


async def run(sweep: Sweep, steps: Sequence[Step] = (*STEPS, publish)) -> Sweep:
    """Take every step, whatever became of the others, and return the sweep with what they found, see ``failed``."""
    for step in steps:
        with sweep.attempt(step.__name__):
            await step(sweep)
    return sweep


def check(failed: Mapping[str, str]) -> None:
    """Say that parts of a sweep failed, all of them.

    :param failed: see :class:`Sweep`. :raises SweepFailed: there are some.
    """
    if failed:
        causes = "; ".join(f"{part}: {why}" for part, why in failed.items())
        raise SweepFailed(f"{len(failed)} parts of the sweep failed, the others were done: {causes}")
