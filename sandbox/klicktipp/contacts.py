"""KlickTipp's calls below ``/subscriber`` (contract: klicktipp.md 2.3)."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from sandbox.addresses import normal_address
from sandbox.exchange import Call, Refusal, json_answer
from sandbox.klicktipp.account import PENDING, STATUS_FILTERS, UNSUBSCRIBED, Contact, KlickTippAccount
from sandbox.klicktipp.answers import (
    ADDRESS_REQUIRED,
    NO_CONTACT,
    NO_SUCH_LIST,
    NOT_SUBSCRIBED,
    UPDATE_FAILED,
    contact_object,
    done,
    error_code,
    refusal,
)
from sandbox.klicktipp.arguments import (
    field_values,
    known_contact,
    known_tag,
    new_address,
    new_phone,
    number,
    required,
    tag_list,
)


def listing(account: KlickTippAccount, call: Call) -> web.Response:
    """``GET /subscriber``: ids of all contacts with one of the wanted statuses; there is no paging."""
    wanted = _statuses(call.query.get("status", "").split(","))
    if call.query.get("bounceStatus") and "nobounce" not in call.query["bounceStatus"].split(","):
        return json_answer({"subscribers": []})
    return json_answer({"subscribers": [str(c.id) for c in account.contacts.values() if c.status in wanted]})


def upsert(account: KlickTippAccount, call: Call) -> web.Response:
    """``POST /subscriber``: create or update by address; without ``listid`` the default process runs."""
    email = new_address(account, call.body.get("email"))
    phone = new_phone(call.body.get("smsnumber"))
    if not email and not phone:
        raise error_code(ADDRESS_REQUIRED)
    named = call.body.get("listid") not in (None, "", 0, "0")
    opt_in = account.opt_ins.get(number(call.body["listid"]) or 0) if named else account.default_opt_in
    if opt_in is None:
        raise error_code(NO_SUCH_LIST)
    tagged = call.body.get("tagid") not in (None, "", 0, "0")
    tag = known_tag(account, call.body["tagid"]) if tagged else None
    fields = field_values(account, call.body.get("fields"))
    contact = account.upsert(email, phone, opt_in, named, fields)
    if tag is not None:
        account.tag(contact, tag)
    return json_answer(contact_object(contact))


def single(account: KlickTippAccount, call: Call) -> web.Response:
    """``GET /subscriber/{id}``."""
    return json_answer(contact_object(_by_id(account, call)))


def update(account: KlickTippAccount, call: Call) -> web.Response:
    """``PUT /subscriber/{id}``."""
    contact = _by_id(account, call)
    email = new_address(account, call.body.get("newemail")) or contact.email
    phone = new_phone(call.body.get("newsmsnumber")) or contact.phone
    if account.by_email.get(email, contact) is not contact:
        raise error_code(UPDATE_FAILED, code=5)
    if account.by_phone.get(phone, contact) is not contact:
        raise error_code(UPDATE_FAILED, code=9)
    fields = field_values(account, call.body.get("fields"))
    account.readdress(contact, email, phone)
    contact.fields.update(fields)
    account.record("contact", contact, id=contact.id, created=False, status=contact.status, fields=fields)
    return done()


def delete(account: KlickTippAccount, call: Call) -> web.Response:
    """``DELETE /subscriber/{id}``."""
    account.delete(_by_id(account, call))
    return done()


def search(account: KlickTippAccount, call: Call) -> web.Response:
    """``POST /subscriber/search``: the contact's id as a number, or 404."""
    contact = account.by_email.get(normal_address(str(required(call, "email"))))
    if contact is None:
        raise refusal(404, NO_CONTACT)
    return json_answer([contact.id])


def tag(account: KlickTippAccount, call: Call) -> web.Response:
    """``POST /subscriber/tag``: all tags or, when one is unknown, none."""
    contact = known_contact(account, call)
    tags = tag_list(account, required(call, "tagids"))
    for one in tags:
        account.tag(contact, one)
    return done()


def untag(account: KlickTippAccount, call: Call) -> web.Response:
    """``POST /subscriber/untag``: one tag by its id."""
    contact = known_contact(account, call)
    account.untag(contact, known_tag(account, required(call, "tagid")))
    return done()


def unsubscribe(account: KlickTippAccount, call: Call) -> web.Response:
    """``POST /subscriber/unsubscribe``; error 9 for who is not subscribed, also while opt-in is pending."""
    contact = known_contact(account, call)
    if contact.status in {PENDING, UNSUBSCRIBED}:
        raise error_code(NOT_SUBSCRIBED)
    account.unsubscribe(contact)
    return done()


def tagged(account: KlickTippAccount, call: Call) -> web.Response:
    """``POST /subscriber/tagged``: who has a tag, and since when."""
    one = known_tag(account, required(call, "tagid"))
    wanted = _statuses(call.body.get("status") or ["subscribed"])
    bounces = call.body.get("bounceStatus") or ["nobounce"]
    hits = one.contacts.items() if "nobounce" in bounces else ()
    return json_answer({str(i): str(moment) for i, moment in hits if account.contacts[i].status in wanted})


def _statuses(names: Iterable[str]) -> set[str]:
    wanted = {STATUS_FILTERS[name] for name in names if name in STATUS_FILTERS}
    return wanted or set(STATUS_FILTERS.values())


def _by_id(account: KlickTippAccount, call: Call) -> Contact:
    contact = account.contacts.get(number(call.params["id"]) or 0)
    if contact is None:
        raise Refusal(web.Response(status=404))
    return contact
