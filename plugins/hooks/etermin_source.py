"""eTermin as the delivery engine sees it: its appointments, and one last look at one and its customer."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Self

from airflow.sdk import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.appointment import event_of
from handoff.delivery.purpose import LOOKING
from handoff.errors import TargetError
from handoff.ledger.occasions import by_keys
from handoff.occasion import Occasion
from handoff.planning.appointments import Account, glimpsed, id_of, standing
from handoff.registration import Registration, Roster
from handoff.rules.rule import Rule
from handoff.source import Listing, ListsTold
from hooks.etermin import ETerminClient, ETerminHook
from hooks.etermin_newsletter import Boxes
from hooks.etermin_poll import deletions
from hooks.etermin_report import Report
from hooks.protocols.etermin_appointments import Appointment
from hooks.protocols.etermin_times import local_day

log = logging.getLogger(__name__)

AHEAD = timedelta(days=730)
"""So far ahead appointments are listed."""
DELETED_BACK = timedelta(days=2)
"""So far back the sweep looks for deletions; older ones are not lost, for what they deleted is not listed."""
NEVER_NEW = datetime.fromtimestamp(0, UTC)
"""The list of an appointment is the one who booked it: all are as old as unix time 0, nobody is ever new on it."""


async def known_of(connection: AsyncConnection, account: str, keys: list[str]) -> dict[str, Occasion]:
    """Return what the ledger knows of appointments, by their keys."""
    return await by_keys(connection, ETerminHook.conn_type, account, keys)


class ETerminSource:
    """One eTermin account (implements :class:`handoff.source.Source`).

    :param rules: the account's: where one asks for the newsletter box and nothing is known of it, contacts are
        looked up.
    """

    def __init__(self, client: ETerminClient, engine: AsyncEngine, rules: Collection[Rule] = ()) -> None:
        self._client, self._engine, self._rules = client, engine, rules
        self._account = Account(ETerminHook.conn_type, client.account.conn_id, client.account.zone)

    @classmethod
    def from_connection(
        cls, conn_id: str, connection: Connection, engine: AsyncEngine, rules: Collection[Rule] = ()
    ) -> Self:
        """Build the source of a connection. :raises WrongCredentials: it cannot be used."""
        return cls(ETerminClient.from_connection(conn_id, connection, purposes=LOOKING), engine, rules)

    async def occasions(self, since: datetime) -> Listing:
        """Return the appointments from the day of ``since`` (aware) up to two years ahead, and what was deleted lately.

        :raises TargetError: they cannot be read now.
        """
        zone = self._client.account.zone
        now = datetime.now(UTC)
        alive = await self._client.between(local_day(since, zone, -1), local_day(now + AHEAD, zone))
        gone = await deletions(self._client, max(since, alive.read_at - DELETED_BACK), alive.read_at)
        for problem in alive.problems + gone.problems:
            log.warning("%s: an appointment is left out: %s", self._account.conn_id, problem)
        listed = {one.id for one in alive.appointments}
        told_gone = [one for one in gone.deletions if one.appointment.id not in listed]
        reports = [Report(one, alive.read_at) for one in alive.appointments]
        found = await self._meaning(reports + [Report.of(one, gone.read_at) for one in told_gone])
        return Listing(tuple(found), lists=ListsTold(now, NEVER_NEW))

    async def _meaning(self, reports: list[Report]) -> list[Occasion]:
        """Return what reports mean; contacts that cannot be looked up keep nobody waiting."""
        async with self._engine.connect() as connection:
            known = await known_of(connection, self._account.conn_id, sorted({one.key for one in reports}))
        found, unsaid = list[Occasion](), list[str]()
        boxes, trouble = Boxes(self._client, self._rules, unsaid), False
        for report in reports:
            before = known.get(report.key)
            if trouble and boxes.asked(report.means(before, self._account), report.read_at):
                found += self._glimpsed(report, before)
                continue
            try:
                found += await boxes.means(report, before, self._account)
            except TargetError as error:
                trouble = True
                unsaid.append(f"{report.key}: its contact and those after it cannot be looked up now: {error}")
                found += self._glimpsed(report, before)
        for problem in unsaid:
            log.warning("%s: %s", self._account.conn_id, problem)
        return found

    def _glimpsed(self, report: Report, known: Occasion | None) -> list[Occasion]:
        """Return what is listed though its contact has to wait: the same that :meth:`occasion` would find."""
        if known is None or report.gone:
            return []
        return [glimpsed(report.appointment, known, self._account, report.read_at)]

    async def occasion(self, known: Occasion) -> Occasion | None:
        """Return the appointment as it is now, ``None`` when it is not there any more.

        A change is cancelled when its appointment is not there any more; a deletion stands.

        :raises TargetError: it cannot be read now.
        """
        if event_of(known) == "deleted":
            return known
        found, read_at = await self._client.appointment(id_of(known))
        if event_of(known) == "modified":
            return standing(known, found)
        if found is None:
            return None
        return glimpsed(found, known, self._account, read_at)

    async def roster(self, known: Occasion, since: datetime | None) -> Roster:
        """Return the one who booked; ``since`` does not matter. Of a deleted appointment, who had booked it.

        Among the details are ``notes``, the remarks (Bemerkungen) made at booking, and ``town`` (Ort); empty where
        there are none.

        :raises TargetError: it cannot be read now.
        """
        found, read_at = await self.appointment(known)
        if found is None:
            return Roster(read_at, read_at, ())
        customer, booked = found.customer, known.anchors.get("booked") or found.booked_at
        entry = Registration(
            found.id, customer.email, booked or min(read_at, *known.anchors.values()), customer.first_name,
            customer.last_name, customer.phone, customer.language,
            details={"notes": found.notes, "town": customer.town},
        )  # fmt: skip
        return Roster(read_at, read_at, (entry,))

    async def appointment(self, known: Occasion) -> tuple[Appointment | None, datetime]:
        """Return the appointment of an occasion with its customer and notes, and when it was read (aware).

        :raises TargetError: it cannot be read now.
        """
        if event_of(known) != "deleted":
            return await self._client.appointment(id_of(known))
        stamp = str(known.facts.get("deletion") or "")
        learnt = known.anchors["deleted"]
        told = datetime.fromisoformat(stamp) if stamp else learnt
        gone = await deletions(self._client, min(told, learnt), learnt)
        same = (one.appointment for one in gone.deletions if one.appointment.id == id_of(known))
        return next(same, None), gone.read_at

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        await self._client.close()
