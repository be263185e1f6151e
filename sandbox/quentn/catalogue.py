"""Calls about custom fields and campaigns (contract: quentn.md 4.4).

ASSUMED: the answers, that a field's name is made of its label, and that starting a campaign creates a contact that is
not there yet.
"""

from __future__ import annotations

import re
from typing import Any, cast, get_args

from aiohttp import web

from sandbox.addresses import is_address, normal_address
from sandbox.exchange import Call, json_answer
from sandbox.people import ascii_text
from sandbox.quentn.account import QuentnAccount
from sandbox.quentn.answers import field_object, not_found, refusal, success
from sandbox.quentn.arguments import json_object
from sandbox.quentn.contact import CustomField
from sandbox.scenario_quentn import FieldType, Length


def fields(account: QuentnAccount, _call: Call) -> web.Response:
    """``GET custom-fields``."""
    return json_answer([field_object(one) for one in account.fields.values()])


def create_field(account: QuentnAccount, call: Call) -> web.Response:
    """``POST custom-fields`` with ``label``, ``field_type`` and ``max_length``."""
    body = json_object(call)
    label, kind, length = body.get("label"), body.get("field_type"), body.get("max_length", 255)
    if not isinstance(label, str) or not (name := _slug(label)):
        raise refusal(400, "label is missing")
    if kind not in get_args(FieldType) or length not in get_args(Length):
        raise refusal(400, "field_type or max_length is not valid")
    if f"field_{name}" in account.fields:
        raise refusal(400, "there is a field with this label")
    one = account.put_field(name, label, cast(FieldType, kind), length)
    account.record_alone("create_field", field=one.name, field_type=one.kind)
    return json_answer(field_object(one))


def update_field(account: QuentnAccount, call: Call) -> web.Response:
    """``PUT custom-fields/{id}``: another label; the name stays."""
    one, label = _field(account, call), json_object(call).get("label")
    if not isinstance(label, str) or not label.strip():
        raise refusal(400, "label is missing")
    one.label = label
    account.record_alone("update_field", field=one.name, label=label)
    return success()


def delete_field(account: QuentnAccount, call: Call) -> web.Response:
    """``DELETE custom-fields/{id}``: its values go as well."""
    one = _field(account, call)
    del account.fields[one.name]
    for contact in account.contacts.values():
        contact.fields.pop(one.name, None)
    account.record_alone("delete_field", field=one.name)
    return success()


def start_campaign(account: QuentnAccount, call: Call) -> web.Response:
    """``POST cb/{campaign_id}`` with ``mail`` and names."""
    text = call.params["id"]
    campaign = account.campaigns.get(int(text)) if re.fullmatch(r"\d{1,9}", text) else None
    if campaign is None:
        raise not_found("Campaign")
    body: dict[str, Any] = json_object(call)
    mail = normal_address(str(body.get("mail") or ""))
    if not is_address(mail):
        raise refusal(400, "mail is not valid")
    known = account.with_mail(mail)
    one = known[0] if known else account.put_contact({"mail": mail})
    if not known:
        names = {name: str(body[name]) for name in ("first_name", "family_name") if body.get(name)}
        account.write(one, {"mail": mail, **names}, (), created=True)
    account.start(one, campaign)
    return success()


def _field(account: QuentnAccount, call: Call) -> CustomField:
    found = next((one for one in account.fields.values() if str(one.id) == call.params["id"]), None)
    if found is None:
        raise not_found("Custom field")
    return found


def _slug(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", ascii_text(label)).strip("_")
