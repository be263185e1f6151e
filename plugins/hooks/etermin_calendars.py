"""Whether an account has the calendars that its rules name: for one that is not there a rule would wait in silence."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.errors import TargetError
from handoff.ledger import cursors, notices
from handoff.rules.appointment import AppointmentRule
from handoff.rules.rule import Rule
from handoff.spellings import folded
from handoff.texts.templates import did_you_mean
from hooks.etermin import ETerminClient
from hooks.protocols.etermin_appointments import Named

log = logging.getLogger(__name__)

KIND: Final = "calendar"
CURSOR = "etermin.calendars"
EVERY, EVERY_OF_A_QUOTA = timedelta(hours=1), timedelta(days=1)
"""How old a look may be while the rules name the same; each takes a request, so it is rarer where those are few."""


@dataclass(frozen=True, slots=True)
class Look:
    """The last look at an account's calendars, as it is kept in the ledger.

    :param at: when (ISO 8601, UTC). :param named: the calendars that the rules named, by rule.
    :param missing: the causes of the notices that stand since.
    """

    at: str
    named: Mapping[str, list[str]]
    missing: Collection[str]

    @classmethod
    def parse(cls, text: str | None) -> Look:
        """Read what was kept; without it, nobody has looked yet and no rule named anything."""
        return cls(**json.loads(text)) if text else cls(datetime.min.replace(tzinfo=UTC).isoformat(), {}, [])

    def holds(self, named: Mapping[str, list[str]], every: timedelta) -> bool:
        """Whether nothing is to be learnt from another look yet."""
        return self.named == named and (not named or datetime.now(UTC) - datetime.fromisoformat(self.at) < every)


async def look_up_calendars(client: ETerminClient, engine: AsyncEngine, rules: Iterable[Rule]) -> None:
    """Tell the team of each calendar that a rule names and the account does not have, until either is right.

    The account is asked once an hour, once a day where its requests of a day are limited, and when rules name others.
    That it cannot be asked stops nothing, and what was told stands.

    :param rules: the account's.
    """
    account, named = client.account, _named(rules)
    async with engine.connect() as ledger:
        last = Look.parse(await cursors.read(ledger, CURSOR, account.conn_id))
    if last.holds(named, EVERY_OF_A_QUOTA if account.limits.quota else EVERY):
        return
    missing: Mapping[str, str] | None = None
    try:
        missing = dict(_missing(account.conn_id, named, await client.calendars() if named else ()))
    except TargetError as error:
        log.warning("whether rules name calendars that are not there is not known: %s", error)
    async with engine.begin() as ledger:
        if missing is not None:
            await _tell(ledger, missing, last.missing)
        look = Look(datetime.now(UTC).isoformat(), named, last.missing if missing is None else sorted(missing))
        await cursors.write(ledger, CURSOR, account.conn_id, json.dumps(asdict(look)))


def _named(rules: Iterable[Rule]) -> dict[str, list[str]]:
    """Return the calendars that rules name, by the rules that name some."""
    asking = (rule for rule in rules if isinstance(rule, AppointmentRule) and rule.calendars)
    return {rule.id: sorted(rule.calendars) for rule in asking}


def _missing(conn_id: str, named: Mapping[str, list[str]], calendars: Collection[Named]) -> Iterator[tuple[str, str]]:
    """Yield cause and words of each name that is neither a calendar's name nor its id."""
    known = {folded(word) for one in calendars for word in (one.id, one.name)}
    for rule_id, name in ((rule_id, name) for rule_id, names in named.items() for name in names):
        if folded(name) not in known:
            near = did_you_mean(name, (one.name for one in calendars))
            words = f"rule {rule_id}: {conn_id} has no calendar (Kalender) {name!r}{near or '.'}"
            yield f"{KIND}/{conn_id}/{rule_id}/{name}", f"{words} Nobody is handed over for it until that is put right"


async def _tell(ledger: AsyncConnection, missing: Mapping[str, str], before: Collection[str]) -> None:
    for cause in sorted(set(before) - missing.keys()):
        await notices.close(ledger, cause)
    for cause, words in sorted(missing.items()):
        await notices.stands(ledger, cause, KIND, words, 1)
        if cause not in before:
            log.error("%s", words)
