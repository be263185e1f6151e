"""The sandbox's own calls about eTermin: what customers and the account's owner do. Only pushes are effects."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from sandbox.etermin import orders, set_up
from sandbox.etermin.account import EterminAccount
from sandbox.etermin.answers import calendar_row, sync_row
from sandbox.etermin.appointment import Appointment
from sandbox.exchange import json_answer
from sandbox.orders import bad_request, read_order
from sandbox.scenario_etermin import AppointmentModel, CalendarModel, PushModel, moment_at
from sandbox.world import World


class EterminControl:
    """``POST /_sandbox/etermin/...``; most calls answer with the appointment as it is then."""

    def __init__(self, world: World) -> None:
        self._world = world

    def open(self, router: web.UrlDispatcher) -> None:
        """Register all calls."""
        for call in (self.book, self.move, self.edit, self.cancel, self.calendar, self.push, self.test):
            router.add_post(f"/_sandbox/etermin/{call.__name__}", call)

    async def book(self, request: web.Request) -> web.Response:
        """An appointment is booked; words of the scenario file, offsets from now, booked now unless it says so."""
        model = await read_order(request, AppointmentModel)
        if "booked" not in model.model_fields_set:
            model = model.model_copy(update={"booked": 0.0})
        try:
            uid = set_up.put_appointment(self._account, model, time.time())
        except ValueError as error:
            raise bad_request([str(error)]) from error
        one = self._account.find(uid)
        return json_answer(sync_row(self._account, one) if one else {"ExternalID": uid}, 201)

    async def move(self, request: web.Request) -> web.Response:
        """An appointment gets another start, and other lengths or calendars too."""
        order = await read_order(request, orders.MoveOrder)
        one, start = self._addressed(order), moment_at(order.start, time.time())
        length = one.end - one.start if order.minutes is None else round(order.minutes * 60)
        if order.calendar:
            self._recalendar(one, order.calendar)
        self._account.change(one, start=start, end=start + length)
        return self._shown(one)

    async def edit(self, request: web.Request) -> web.Response:
        """What is known of an appointment changes, not its times."""
        order = await read_order(request, orders.EditOrder)
        one = self._addressed(order)
        if unknown := set(order.fields) - set(orders.EDITABLE):
            raise bad_request([f"fields: there is no field {min(unknown)!r}; known are {', '.join(orders.EDITABLE)}"])
        if order.newsletter is not None:
            one.newsletter = order.newsletter
        self._account.change(one, about=order.fields)
        return self._shown(one)

    async def cancel(self, request: web.Request) -> web.Response:
        """An appointment is deleted."""
        one = self._addressed(await read_order(request, orders.AppointmentOrder))
        self._account.cancel(one, "customer")
        return self._shown(one)

    async def calendar(self, request: web.Request) -> web.Response:
        """A calendar is added."""
        model = await read_order(request, CalendarModel)
        try:
            number = set_up.put_calendar(self._account, model)
        except ValueError as error:
            raise bad_request([str(error)]) from error
        return json_answer(calendar_row(self._account.calendars[number]), 201)

    async def push(self, request: web.Request) -> web.Response:
        """Web Push is set up, faults among it; what is left out stays. It outlives ``/_sandbox/start``."""
        given = await read_order(request, PushModel)
        told: dict[str, Any] = {name: getattr(given, name) for name in given.model_fields_set}
        model = self._account.outbox.model.model_copy(update=told)
        self._world.set_push(model)
        return json_answer(model.model_dump())

    async def test(self, request: web.Request) -> web.Response:
        """One of the three test buttons is pressed: a push about an appointment that there is not."""
        order, now = await read_order(request, orders.ButtonOrder), self._account.now()
        about = {"firstname": "Test", "lastname": "Test", "email": "test@example.org", "language": "de"}
        one = Appointment(1, "test", 1, now + 3600, now + 5400, now, "Test", about)
        self._account.push(order.command, one)
        return json_answer({})

    @property
    def _account(self) -> EterminAccount:
        self._world.etermin.catch_up()
        return self._world.etermin

    def _addressed(self, order: orders.AppointmentOrder) -> Appointment:
        one = self._account.find(order.uid, str(order.id))
        if one is None:
            raise bad_request([f"uid: there is no appointment {order.uid or order.id!r}"])
        return one

    def _recalendar(self, one: Appointment, name: str) -> None:
        try:
            one.calendar_id, one.pushed_calendar = set_up.calendar_named(self._account, name), name
        except ValueError as error:
            raise bad_request([f"calendar: {error}"]) from error

    def _shown(self, one: Appointment) -> web.Response:
        return json_answer(sync_row(self._account, one))
