"""KlickTipp's calls with a listbuilding API key in the body, without a login (contract: klicktipp.md 2.2 C)."""

from __future__ import annotations

from aiohttp import web

from sandbox.exchange import Call, json_answer
from sandbox.klicktipp.account import PENDING, UNSUBSCRIBED, KlickTippAccount, ListbuildingKey
from sandbox.klicktipp.answers import ADDRESS_REQUIRED, KEY_INVALID, NOT_SUBSCRIBED, done, error_code
from sandbox.klicktipp.arguments import field_values, known_contact, new_address, new_phone
from sandbox.klicktipp.catalogue import PLEASE_CONFIRM, THANK_YOU


def signin(account: KlickTippAccount, call: Call) -> web.Response:
    """``POST /subscriber/signin``: upsert and tag with the key's one tag; answers where to send the person."""
    key = _key(account, call)
    email, phone = new_address(account, call.body.get("email")), new_phone(call.body.get("smsnumber"))
    if not email and not phone:
        raise error_code(ADDRESS_REQUIRED)
    fields = field_values(account, call.body.get("fields"))
    contact = account.upsert(email, phone, account.opt_ins[key.opt_in_id], True, fields)
    account.tag(contact, account.tags[key.tag_id])
    return json_answer([PLEASE_CONFIRM if contact.status == PENDING else THANK_YOU])


def signout(account: KlickTippAccount, call: Call) -> web.Response:
    """``POST /subscriber/signout``: removes the key's tag."""
    key = _key(account, call)
    account.untag(known_contact(account, call), account.tags[key.tag_id])
    return done()


def signoff(account: KlickTippAccount, call: Call) -> web.Response:
    """``POST /subscriber/signoff``: unsubscribes."""
    _key(account, call)
    contact = known_contact(account, call)
    if contact.status in {PENDING, UNSUBSCRIBED}:
        raise error_code(NOT_SUBSCRIBED)
    account.unsubscribe(contact)
    return done()


def _key(account: KlickTippAccount, call: Call) -> ListbuildingKey:
    key = account.keys.get(str(call.body.get("apikey", "")))
    if key is None or key.tag_id not in account.tags:
        raise error_code(KEY_INVALID)
    return key
