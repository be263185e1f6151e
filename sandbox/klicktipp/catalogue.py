"""KlickTipp's fields, opt-in processes and tags (contract: klicktipp.md 2.3)."""

from __future__ import annotations

from aiohttp import web

from sandbox.exchange import Call, json_answer
from sandbox.klicktipp.account import PENDING, KlickTippAccount, OptIn, Tag
from sandbox.klicktipp.answers import NO_OPT_IN, NO_TAG, done, refusal
from sandbox.klicktipp.arguments import known_contact, number, required

THANK_YOU, PLEASE_CONFIRM = "https://example.org/danke", "https://example.org/bitte-bestaetigen"


def fields(account: KlickTippAccount, _call: Call) -> web.Response:
    """``GET /field``: name to label."""
    return json_answer(account.fields)


def field(account: KlickTippAccount, call: Call) -> web.Response:
    """``GET /field/{id}``: the id comes without the prefix ``field``."""
    label = account.fields.get("field" + call.params["id"])
    if label is None:
        raise refusal(404, "Kein Feld mit dieser ID.")
    return json_answer({"id": call.params["id"], "name": label})


def opt_ins(account: KlickTippAccount, _call: Call) -> web.Response:
    """``GET /list``: id to name; the default process has an empty name."""
    return json_answer({str(one.id): one.name for one in account.opt_ins.values()})


def opt_in(account: KlickTippAccount, call: Call) -> web.Response:
    """``GET /list/{id}``."""
    one = _opt_in(account, call.params["id"])
    return json_answer({
        "listid": str(one.id),
        "name": one.name,
        "pendingurl": "",
        "thankyouurl": "",
        "usesingleoptin": one.single,
        "resendconfirmationemail": False,
        "usechangeemail": False,
    })


def redirect(account: KlickTippAccount, call: Call) -> web.Response:
    """``POST /list/redirect``: where the contact is sent after the form."""
    _opt_in(account, required(call, "listid"))
    contact = known_contact(account, call)
    return json_answer([PLEASE_CONFIRM if contact.status == PENDING else THANK_YOU])


def tags(account: KlickTippAccount, _call: Call) -> web.Response:
    """``GET /tag``: id to name, manual tags only."""
    return json_answer({str(tag.id): tag.name for tag in account.tags.values()})


def create_tag(account: KlickTippAccount, call: Call) -> web.Response:
    """``POST /tag``: the new tag's id as a number; 406 when the name is taken."""
    name = str(required(call, "name"))
    if name in account.tag_names:
        raise refusal(406, "Tag konnte nicht erstellt werden.")
    tag = account.put_tag(name, str(call.body.get("text") or ""))
    account.record("create_tag", None, tag_id=tag.id, tag=name)
    return json_answer([tag.id])


def tag(account: KlickTippAccount, call: Call) -> web.Response:
    """``GET /tag/{id}``."""
    one = _tag(account, call)
    return json_answer({"tagid": str(one.id), "name": one.name, "text": one.text})


def update_tag(account: KlickTippAccount, call: Call) -> web.Response:
    """``PUT /tag/{id}``."""
    one = _tag(account, call)
    name = str(call.body.get("name") or one.name)
    if account.tag_names.get(name, one) is not one:
        raise refusal(409, f"A tag with the name {name} already exists.")
    account.rename_tag(one, name)
    one.text = str(call.body.get("text", one.text))
    account.record("update_tag", None, tag_id=one.id, tag=name)
    return done()


def delete_tag(account: KlickTippAccount, call: Call) -> web.Response:
    """``DELETE /tag/{id}``."""
    one = _tag(account, call)
    account.delete_tag(one)
    account.record("delete_tag", None, tag_id=one.id, tag=one.name)
    return done()


def _tag(account: KlickTippAccount, call: Call) -> Tag:
    one = account.tags.get(number(call.params["id"]) or 0)
    if one is None:
        raise refusal(404, NO_TAG)
    return one


def _opt_in(account: KlickTippAccount, value: object) -> OptIn:
    one = account.opt_ins.get(number(value) or 0)
    if one is None:
        raise refusal(404, NO_OPT_IN)
    return one
