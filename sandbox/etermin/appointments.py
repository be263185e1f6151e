"""Calls about appointments (contract: etermin.md 2.3)."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from sandbox.addresses import normal_address
from sandbox.etermin.account import EterminAccount
from sandbox.etermin.answers import Problem, appointment_row, limited_row, status_row
from sandbox.etermin.appointment import Appointment
from sandbox.etermin.arguments import Parameters, addressed, calendar_id, flag, minute, numbers, span, told
from sandbox.exchange import json_answer


def listing(account: EterminAccount, given: Parameters) -> web.Response:
    """``GET /appointment``: one by an id, or those that begin (or were booked) within days, the end exclusive."""
    row = limited_row if flag(given, "limited") else appointment_row
    return json_answer([row(account, one) for one in sorted(_found(account, given), key=lambda one: one.start)])


def create(account: EterminAccount, given: Parameters) -> web.Response:
    """``POST /appointment``; its push has no calendar name unless ``calendarname`` was passed."""
    calendar, (start, end) = calendar_id(account, given), _times(account, given)
    services = numbers(given, "services")
    if unknown := set(services) - set(account.services):
        raise Problem(f"service {min(unknown)} is unknown")
    if flag(given, "checkexist") and _taken(account, calendar, start, end):
        raise Problem("the time is not free")
    one = account.book(
        calendar, start, end, told(given), pushed_calendar=given.get("calendarname", ""), services=services,
        newsletter=flag(given, "newsletter"), confirmed=given.get("manualconfirmed", "1").lower() not in {"0", "false"},
    )  # fmt: skip
    account.record("appointment", one, id=one.id, calendar=calendar, start=one.start, end=one.end)
    return json_answer([status_row(one)])


def update(account: EterminAccount, given: Parameters) -> web.Response:
    """``PUT /appointment``: ``id`` is the external id; what is left out stays."""
    if not given.get("id"):
        raise Problem("id is required")
    one, start, end = addressed(account, given), None, None
    if "start" in given or "end" in given:
        start, end = _times(account, given)
    calendar = calendar_id(account, given) if "calendarid" in given else one.calendar_id
    one.calendar_id, one.pushed_calendar = calendar, given.get("calendarname", one.pushed_calendar)
    if "manualconfirmed" in given:
        one.confirmed = flag(given, "manualconfirmed")
    account.change(one, start=start, end=end, about=told(given))
    account.record("update_appointment", one, id=one.id, calendar=calendar, start=one.start, end=one.end)
    return json_answer([status_row(one)])


def delete(account: EterminAccount, given: Parameters) -> web.Response:
    """``DELETE /appointment``: one by an id, or all that begin within days."""
    if not given.get("id") and (flag(given, "sync") or flag(given, "sendemail")):
        raise Problem("sync and sendemail need the external id")
    by_id = given.get("id") or given.get("appid")
    found = [addressed(account, given)] if by_id else list(_within(account, given))
    for one in found:
        account.cancel(one, "API")
        account.record("delete_appointment", one, id=one.id)
    return json_answer([status_row(one) for one in found])


def _found(account: EterminAccount, given: Parameters) -> Iterable[Appointment]:
    if given.get("id") or given.get("appid"):
        found = account.find(given.get("id", ""), given.get("appid", ""))
        return [found] if found else []
    if flag(given, "wl") or flag(given, "pbl"):
        return []
    if given.get("cid") and not given.get("start"):
        return [one for one in account.kept() if str(one.customer_id) == given["cid"]]
    return _within(account, given)


def _within(account: EterminAccount, given: Parameters) -> Iterable[Appointment]:
    """Return what begins within days and fits ``calendarid``, ``cid`` and ``email``."""
    first, end = span(given, account.zone)
    by_booking, calendars = flag(given, "bycreationdate"), numbers(given, "calendarid")
    address, customer = normal_address(given.get("email", "")), given.get("cid", "")
    for one in account.kept():
        fits = first <= (one.booked if by_booking else one.start) < end
        fits = fits and (not calendars or one.calendar_id in calendars)
        fits = fits and (not address or normal_address(one.email) == address)
        if fits and (not customer or str(one.customer_id) == customer):
            yield one


def _times(account: EterminAccount, given: Parameters) -> tuple[int, int]:
    start, end = minute(given, "start", account.zone), minute(given, "end", account.zone)
    if end <= start:
        raise Problem("end must be later than start")
    return start, end


def _taken(account: EterminAccount, calendar: int, start: int, end: int) -> bool:
    return any(one.calendar_id == calendar and one.start < end and start < one.end for one in account.kept())
