"""The state of one eTermin account, and everything that can be done to it."""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.addresses import normal_address
from sandbox.clock import Clock
from sandbox.effects import Effects
from sandbox.etermin.appointment import ADDITIONAL, Appointment, Calendar, Command, Customer, Service
from sandbox.etermin.outbox import Outbox, Push
from sandbox.etermin.times import zone_named
from sandbox.scenario_etermin import EterminModel, PushModel

CUSTOMER_FIELDS = ("salutation", "title", "firstname", "lastname", "email", "phone", "company", "street", "zip", "city",
                   "birthday", "customernumber", "language", *ADDITIONAL)  # fmt: skip
"""What a booking tells of a customer."""


class EterminAccount:
    """Calendars, customers and appointments. What a client of the API does is recorded as an effect by its caller.

    :param push: settings of the Web Push; those of the scenario without them.
    """

    def __init__(self, effects: Effects, clock: Clock, model: EterminModel, push: PushModel | None = None) -> None:
        self.effects = effects
        self._clock = clock
        self._order = count()
        self._planned: list[tuple[float, int, Callable[[int], None]]] = []
        # numbers of a later world are greater, so that a token of an earlier one brings everything
        self._changes = count(int(clock.zero * 1000) + 1)
        self._ids, self._cids = count(12000001), count(4001)
        self._calendar_ids, self._service_ids = count(90711), count(502)
        self.first_change = self.last_change = int(clock.zero * 1000)
        self.model = model
        self.zone: ZoneInfo = zone_named(model.timezone)
        self.outbox = Outbox(push or model.push)
        self.silent = True
        """Whether what takes place is history, of which no push tells."""
        self.appointments: dict[str, Appointment] = {}
        """By external id, those deleted among them."""
        self.customers: dict[int, Customer] = {}
        self.calendars: dict[int, Calendar] = {}
        self.services: dict[int, Service] = {}

    def now(self) -> int:
        """Return the present second."""
        return int(self._clock.now())

    def plan(self, at: float, action: Callable[[int], None]) -> None:
        """Let something happen at a moment (unix seconds) that may lie ahead."""
        heapq.heappush(self._planned, (at, next(self._order), action))

    def catch_up(self) -> None:
        """Let happen what was planned for moments that have passed, each at its own moment."""
        now = self._clock.now()
        while self._planned and self._planned[0][0] <= now:
            at, _, action = heapq.heappop(self._planned)
            action(int(at))

    def kept(self) -> Iterator[Appointment]:
        """Yield the appointments that are not deleted."""
        return (one for one in self.appointments.values() if one.deleted is None)

    def find(self, uid: str, number: str = "") -> Appointment | None:
        """Return an appointment that is not deleted, by its external or else by its numeric id."""
        if uid:
            found = self.appointments.get(uid)
            return found if found is not None and found.deleted is None else None
        return next((one for one in self.kept() if str(one.id) == number), None)

    def calendar_name(self, number: int) -> str:
        """Return a calendar's name, empty for one that is gone."""
        calendar = self.calendars.get(number)
        return calendar.name if calendar else ""

    def add_calendar(self, name: str, number: int | None = None, services: tuple[int, ...] = ()) -> Calendar:
        """Add a calendar; without an id the next free one is taken."""
        free = (one for one in self._calendar_ids if one not in self.calendars)
        calendar = Calendar(next(free) if number is None else number, name, services)
        self.calendars[calendar.id] = calendar
        return calendar

    def add_service(self, name: str, minutes: float, number: int | None = None) -> Service:
        """Add a service; without an id the next free one is taken."""
        free = (one for one in self._service_ids if one not in self.services)
        service = Service(next(free) if number is None else number, name, minutes)
        self.services[service.id] = service
        return service

    def book(self, calendar_id: int, start: int, end: int, about: Mapping[str, str], *, uid: str = "",
             at: int | None = None, pushed_calendar: str = "", services: tuple[int, ...] = (),
             newsletter: bool = False, confirmed: bool = True) -> Appointment:  # fmt: skip
        """Create an appointment, and its customer if need be; a push says so.

        :param at: the second when, now without it; as in the calls below.
        """
        moment = self.now() if at is None else at
        one = Appointment(next(self._ids), uid or str(uuid.uuid4()), calendar_id, start, end, moment, pushed_calendar,
                          dict(about), services, newsletter=newsletter, confirmed=confirmed)  # fmt: skip
        customer = self._customer_of(one, moment)
        one.customer_id = customer.cid if customer else None
        self.appointments[one.uid] = one
        self._changed(one, "CREATED")
        return one

    def change(self, one: Appointment, *, start: int | None = None, end: int | None = None,
               about: Mapping[str, str] | None = None) -> None:  # fmt: skip
        """Move an appointment or change what is known of it; a push says so."""
        one.start = one.start if start is None else start
        one.end = one.end if end is None else end
        one.about |= about or {}
        one.sequence += self.model.sequence
        self._changed(one, "MODIFIED")

    def cancel(self, one: Appointment, by: str, at: int | None = None) -> None:
        """Delete an appointment; a push says so."""
        one.deleted, one.deleted_by = self.now() if at is None else at, by
        self._changed(one, "DELETED")

    def put_customer(self, about: Mapping[str, str], newsletter: bool, at: int) -> Customer:
        """Add a customer, whoever is known already."""
        one = Customer(next(self._cids), str(uuid.uuid4()), at, dict(about), newsletter)
        self.customers[one.cid] = one
        return one

    def customers_at(self, email: str) -> list[Customer]:
        """Return the customers with an address, oldest first."""
        address = normal_address(email)
        return [one for one in self.customers.values() if address and normal_address(one.text("email")) == address]

    def push(self, command: Command, one: Appointment) -> None:
        """Send a push about an appointment as it is now; one that gets lost is an effect as well."""
        push = Push(command, replace(one, about=dict(one.about)), self.service_text(one), one.change)
        if self.silent or not self.outbox.model.url:
            return
        if not self.outbox.put(push, self._clock.now()):
            self.record("push", one, command=command, dropped=True, accepted=False, status=0)

    def service_text(self, one: Appointment) -> str:
        """Return the text of an appointment's services: as it was given, else their names."""
        known = (self.services.get(number) for number in one.services)
        return one.text("servicestext") or ", ".join(service.name for service in known if service)

    def record(self, action: str, one: Appointment, **detail: Any) -> None:
        """Write an effect about an appointment."""
        self.effects.record("etermin", action, normal_address(one.email), uid=one.uid, **detail)

    def _changed(self, one: Appointment, command: Command) -> None:
        one.change = self.last_change = next(self._changes)
        one.command = command
        self.push(command, one)

    def _customer_of(self, one: Appointment, at: int) -> Customer | None:
        """Return the customer with the appointment's address, or a new one; nobody for who gave no name at all."""
        told = {name: one.text(name) for name in CUSTOMER_FIELDS if one.text(name)}
        if not {"email", "firstname", "lastname"} & set(told):
            return None
        known = self.customers_at(one.email)
        customer = known[0] if known else self.put_customer(told, one.newsletter, at)
        customer.about |= told
        customer.newsletter = customer.newsletter or one.newsletter
        customer.last_appointment = max(customer.last_appointment or one.start, one.start)
        return customer
