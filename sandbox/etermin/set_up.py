"""Makes an eTermin account from a scenario."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from sandbox.clock import Clock
from sandbox.effects import Effects
from sandbox.etermin.account import EterminAccount
from sandbox.etermin.appointment import ADDITIONAL
from sandbox.scenario_etermin import AppointmentModel, CalendarModel, EterminModel, MoveModel, PushModel, moment_at

ABOUT = ("salutation", "firstname", "lastname", "email", "phone", "street", "zip", "city", "birthday", "language",
         "notes")  # fmt: skip


def etermin_account(model: EterminModel, effects: Effects, clock: Clock, listed: bool,
                    push: PushModel | None = None) -> EterminAccount:  # fmt: skip
    """Return the account of a scenario; what happened before its beginning is history.

    :param listed: whether appointments are there yet; ``False`` until the world has been started.
    :param push: settings of the Web Push that go before those of the scenario.
    """
    account = EterminAccount(effects, clock, model, push)
    for service in model.services:
        account.add_service(service.name, service.minutes, service.id)
    for calendar in model.calendars:
        put_calendar(account, calendar)
    if listed:
        for appointment in model.appointments:
            put_appointment(account, appointment, clock.zero)
    account.catch_up()
    account.silent = False
    return account


def put_calendar(account: EterminAccount, model: CalendarModel) -> int:
    """Add a calendar and return its id.

    :raises ValueError: when its id or name is taken, or there is no such service.
    """
    if model.id in account.calendars or model.name in {one.name for one in account.calendars.values()}:
        raise ValueError(f"there is a calendar {model.name!r} or {model.id} already")
    return account.add_calendar(model.name, model.id, tuple(_service(account, name) for name in model.services)).id


def put_appointment(account: EterminAccount, model: AppointmentModel, zero: float) -> str:
    """Plan an appointment and what becomes of it; return its external id.

    :param zero: the moment (unix seconds) from which offsets count.
    :raises ValueError: when there is no such calendar or service, or its external id is taken.
    """
    uid = model.uid or str(uuid.uuid4())
    if uid in account.appointments:
        raise ValueError(f"there is an appointment {uid!r} already")
    account.plan(zero + model.booked, _booking(account, model, uid, zero))
    for move in model.moves:
        account.plan(zero + move.at, _moving(account, move, uid, zero))
    if model.cancelled is not None:
        account.plan(zero + model.cancelled, _cancelling(account, uid))
    return uid


def calendar_named(account: EterminAccount, name: str) -> int:
    """Return the id of a calendar.

    :raises ValueError: when there is none with that name.
    """
    for one in account.calendars.values():
        if one.name == name:
            return one.id
    raise ValueError(f"there is no calendar {name!r}")


def _booking(account: EterminAccount, model: AppointmentModel, uid: str, zero: float) -> Callable[[int], None]:
    calendar, start = calendar_named(account, model.calendar), moment_at(model.start, zero)
    services = (_service(account, model.service),) if model.service else ()
    about = {name: text for name in ABOUT if (text := getattr(model, name))}
    about |= dict(zip(ADDITIONAL, model.additional, strict=False))

    def book(at: int) -> None:
        account.book(calendar, start, start + round(model.minutes * 60), about, uid=uid, at=at,
                     pushed_calendar=model.calendar, services=services, newsletter=model.newsletter)  # fmt: skip

    return book


def _moving(account: EterminAccount, model: MoveModel, uid: str, zero: float) -> Callable[[int], None]:
    start = moment_at(model.start, zero)

    def move(_at: int) -> None:
        if (one := account.find(uid)) is not None:
            account.change(one, start=start, end=start + one.end - one.start)

    return move


def _cancelling(account: EterminAccount, uid: str) -> Callable[[int], None]:
    def cancel(at: int) -> None:
        if (one := account.find(uid)) is not None:
            account.cancel(one, "customer", at)

    return cancel


def _service(account: EterminAccount, name: str) -> int:
    for one in account.services.values():
        if one.name == name:
            return one.id
    raise ValueError(f"there is no service {name!r}")
