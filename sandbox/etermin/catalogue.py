"""Calls about calendars and services. That they exist is known; the names in their rows are ASSUMED."""

from __future__ import annotations

from aiohttp import web

from sandbox.etermin.account import EterminAccount
from sandbox.etermin.answers import Problem, calendar_row, service_row, status_row
from sandbox.etermin.arguments import Parameters, calendar_id, numbers
from sandbox.exchange import json_answer


def calendars(account: EterminAccount, given: Parameters) -> web.Response:
    """``GET /calendar``, all or those of ``calendarid``."""
    wanted = numbers(given, "calendarid")
    return json_answer([calendar_row(one) for one in account.calendars.values() if not wanted or one.id in wanted])


def create_calendar(account: EterminAccount, given: Parameters) -> web.Response:
    """``POST /calendar`` with ``calendarname``."""
    one = account.add_calendar(_name(given))
    account.effects.record("etermin", "create_calendar", calendar=one.id, name=one.name)
    return json_answer([{**status_row(), "ID": one.id}])


def update_calendar(account: EterminAccount, given: Parameters) -> web.Response:
    """``PUT /calendar`` with ``calendarid`` and ``calendarname``."""
    one = account.calendars[calendar_id(account, given)]
    one.name = _name(given)
    account.effects.record("etermin", "update_calendar", calendar=one.id, name=one.name)
    return json_answer([{**status_row(), "ID": one.id}])


def delete_calendar(account: EterminAccount, given: Parameters) -> web.Response:
    """``DELETE /calendar`` with ``calendarid``; its appointments stay, without a name for it."""
    one = account.calendars.pop(calendar_id(account, given))
    account.effects.record("etermin", "delete_calendar", calendar=one.id, name=one.name)
    return json_answer([{**status_row(), "ID": one.id}])


def services(account: EterminAccount, _given: Parameters) -> web.Response:
    """``GET /service``."""
    return json_answer([service_row(one) for one in account.services.values()])


def services_of_calendars(account: EterminAccount, given: Parameters) -> web.Response:
    """``GET /calendarservice``: which calendar has which service."""
    wanted = numbers(given, "calendarid")
    pairs = [(one, account.services[number]) for one in account.calendars.values() for number in one.services]
    rows = [{**calendar_row(one), **service_row(service)} for one, service in pairs if not wanted or one.id in wanted]
    return json_answer(rows)


def _name(given: Parameters) -> str:
    name = given.get("calendarname", "").strip()
    if not name:
        raise Problem("calendarname is required")
    return name
