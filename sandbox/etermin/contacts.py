"""Calls about contacts, which answer in XML (contract: etermin.md 2.3; sandbox_traits.md 10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from sandbox.addresses import normal_address
from sandbox.etermin.account import CUSTOMER_FIELDS, EterminAccount
from sandbox.etermin.answers import Problem, contact_row, contact_status
from sandbox.etermin.appointment import Customer
from sandbox.etermin.arguments import DAY, Parameters, flag
from sandbox.etermin.contact_xml import xml_answer
from sandbox.etermin.times import parse_day
from sandbox.exchange import json_answer

KNOWN = (*CUSTOMER_FIELDS, "notes", "state", "country")


def listing(account: EterminAccount, given: Parameters) -> web.Response:
    """``GET /contact`` by ``email``, ``id`` (external), ``cid``, ``creationdate`` or ``creationdateall``."""
    rows = [contact_row(account, one) for one in _found(account, given)]
    return answer(account, "Contact", rows)


def create(account: EterminAccount, given: Parameters) -> web.Response:
    """``POST /contact``; ``updatewhenexistsgdt=1`` updates by address, or by both names and the birthday."""
    upsert = flag(given, "updatewhenexistsgdt")
    known = _same(account, given) if upsert else None
    told, newsletter = _told(given), flag(given, "newsletter")
    if not {"email", "firstname", "lastname"} & set(told):
        raise Problem("email or name is required")
    if known is None:
        one = account.put_customer(told, newsletter, account.now())
    else:
        one = known
        _write(one, told, given)
    account.effects.record(
        "etermin", "contact", normal_address(one.text("email")), cid=one.cid, created=known is None, fields=told
    )
    return answer(account, "ContactStatus", [contact_status(one)])


def update(account: EterminAccount, given: Parameters) -> web.Response:
    """``PUT /contact`` by ``id`` or ``cid``; ``tags`` is a comma list."""
    one = _addressed(account, given)
    _write(one, told := _told(given), given)
    if "tags" in given:
        one.tags = tuple(tag.strip() for tag in given["tags"].split(",") if tag.strip())
    account.effects.record(
        "etermin", "contact", normal_address(one.text("email")), cid=one.cid, created=False, fields=told
    )
    return answer(account, "ContactStatus", [contact_status(one)])


def delete(account: EterminAccount, given: Parameters) -> web.Response:
    """``DELETE /contact``; by ``email`` everybody with that address goes."""
    by_email = not given.get("id") and not given.get("cid")
    found = account.customers_at(given.get("email", "")) if by_email else [_addressed(account, given)]
    if not found:
        raise Problem("contact not found")
    for one in found:
        del account.customers[one.cid]
        account.effects.record("etermin", "delete_contact", normal_address(one.text("email")), cid=one.cid)
    return answer(account, "ContactStatus", [contact_status(one) for one in found])


def answer(account: EterminAccount, name: str, rows: list[dict[str, Any]]) -> web.Response:
    """Return rows as the account's ``/contact`` speaks."""
    return xml_answer(name, rows) if account.model.contact_answers == "xml" else json_answer(rows)


def _found(account: EterminAccount, given: Parameters) -> Iterable[Customer]:
    if given.get("email"):
        return account.customers_at(given["email"])
    for name, own in (("id", "uid"), ("cid", "cid")):
        if given.get(name):
            return [one for one in account.customers.values() if str(getattr(one, own)) == given[name]]
    return _created(account, given)


def _created(account: EterminAccount, given: Parameters) -> list[Customer]:
    """Return who was created on a day, or with ``creationdateall`` since its beginning (assumed)."""
    text = given.get("creationdate") or given.get("creationdateall", "")
    try:
        first = parse_day(text, account.zone)
    except ValueError as error:
        raise Problem("email, id, cid or creationdate is required") from error
    last = first + DAY if given.get("creationdate") else None
    return [one for one in account.customers.values() if first <= one.created and (last is None or one.created < last)]


def _addressed(account: EterminAccount, given: Parameters) -> Customer:
    found = list(_found(account, {name: given.get(name, "") for name in ("id", "cid")})) if given else []
    if not found:
        raise Problem("contact not found")
    return found[0]


def _same(account: EterminAccount, given: Parameters) -> Customer | None:
    """Return who is meant by an upsert.

    :raises Problem: when neither the address nor names and birthday are told.
    """
    if given.get("email"):
        return next(iter(account.customers_at(given["email"])), None)
    names = ("firstname", "lastname", "birthday")
    if not all(given.get(name) for name in names):
        raise Problem("email, or first name, last name and birthday are required")
    wanted = [given[name] for name in names]
    return next((one for one in account.customers.values() if [one.text(name) for name in names] == wanted), None)


def _told(given: Parameters) -> dict[str, str]:
    return {name: given[name] for name in KNOWN if given.get(name)}


def _write(one: Customer, told: Mapping[str, str], given: Parameters) -> None:
    one.about |= told
    if "newsletter" in given:
        one.newsletter = flag(given, "newsletter")
