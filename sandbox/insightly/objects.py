"""Single records: read, create, change, delete, and their states (contract: insightly.md 1.6 to 1.8)."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from sandbox.exchange import Call, json_answer
from sandbox.insightly.account import InsightlyAccount
from sandbox.insightly.answers import nothing, record_answer, refusal, state_object
from sandbox.insightly.arguments import addressed, flag, json_object, link_target, state, tag_name, unchanged
from sandbox.insightly.kinds import OPPORTUNITY_STATES, PARENTS, Kind
from sandbox.insightly.record import Record


def single(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``GET /{Obj}/{id}``."""
    return record_answer(addressed(account, kind, call.params["id"]), brief=flag(call, "brief"))


def create(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``POST /{Obj}``: 201 with the record."""
    body = json_object(call)
    for name in kind.required:
        if body.get(name) in (None, ""):
            raise refusal(400, f"{name} is required.")
    wanted = state(kind, body[kind.state]) if kind.state and body.get(kind.state) else ""
    _check_parts(account, body)
    record = account.put(kind, {}, state=wanted)
    _write(account, record, body)
    account.record("create", record)
    return record_answer(record, 201)


def update(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``PUT /{Obj}`` with the id in the body: only what is sent changes, ``null`` clears."""
    body = json_object(call)
    record = addressed(account, kind, body.get(kind.number))
    unchanged(call, record)
    for name in kind.required:
        if name in body and body[name] in (None, ""):
            raise refusal(400, f"{name} is required.")
    wanted = state(kind, body[kind.state]) if kind.state in body else record.state
    _check_parts(account, body)
    _write(account, record, body)
    if wanted != record.state:
        account.enter(record, wanted)
        account.record("state", record, state=wanted)
    else:
        account.touch(record)
    account.record("update", record, fields=sorted(set(body) - {kind.number}))
    return record_answer(record)


def delete(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``DELETE /{Obj}/{id}``."""
    record = addressed(account, kind, call.params["id"])
    account.record("delete", record)
    account.delete(record)
    return nothing()


def change_state(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``PUT /Opportunities/{id}/StateChange``."""
    record = addressed(account, kind, call.params["id"])
    unchanged(call, record)
    wanted = state(kind, json_object(call).get("FOR_OPPORTUNITY_STATE"))
    account.enter(record, wanted)
    account.record("state", record, state=wanted)
    return json_answer(state_object(record, record.history[-1]) if record.history else {"OPPORTUNITY_ID": record.id})


def state_history(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``GET /Opportunities/{id}/StateHistory``: every change, oldest first (the order is assumed)."""
    record = addressed(account, kind, call.params["id"])
    return json_answer([state_object(record, change) for change in record.history])


def state_reasons(_account: InsightlyAccount, _kind: Kind, _call: Call) -> web.Response:
    """``GET /OpportunityStateReasons``: one for each state."""
    reasons = enumerate(OPPORTUNITY_STATES, start=1)
    return json_answer(
        [{"STATE_REASON_ID": number, "STATE_REASON": name.title(), "FOR_OPPORTUNITY_STATE": name}
         for number, name in reasons]
    )  # fmt: skip


def tags_in_use(account: InsightlyAccount, _kind: Kind, call: Call) -> web.Response:
    """``GET /Tags?record_type=``, which is required; singular and plural are understood (assumed)."""
    asked = call.query.get("record_type", "").casefold()
    kind = next((one for one in PARENTS if asked in {one.name.casefold(), one.plural.casefold()}), None)
    if kind is None:
        raise refusal(400, "record_type is required.")
    names = {tag for record in account.table(kind) for tag in record.tags}
    return json_answer([{"TAG_NAME": name} for name in sorted(names)])


def _check_parts(account: InsightlyAccount, body: dict[str, Any]) -> None:
    """Refuse wrong tags and links before anything is written."""
    for name in ("TAGS", "LINKS", "CUSTOMFIELDS"):
        if not isinstance(body.get(name) or [], list) or any(not isinstance(one, dict) for one in body.get(name) or []):
            raise refusal(400, f"{name} must be an array of objects.")
    for tag in body.get("TAGS") or ():
        tag_name(tag)
    for link in body.get("LINKS") or ():
        link_target(account, link)


def _write(account: InsightlyAccount, record: Record, body: dict[str, Any]) -> None:
    """Take over the fields that may be written; read-only and unknown ones are ignored (assumed)."""
    record.fields |= {name: body[name] for name in record.kind.writable if name in body}
    parts = record.kind.parts
    if "CUSTOMFIELDS" in body and "CUSTOMFIELDS" in parts:
        record.fields["CUSTOMFIELDS"] = body["CUSTOMFIELDS"] or []
    if "TAGS" in body and "TAGS" in parts:
        record.tags = tuple(dict.fromkeys(tag_name(tag) for tag in body["TAGS"] or ()))
    if "LINKS" in body:
        for link in record.links:
            account.unlink(record, link)
        for value in body["LINKS"] or ():
            account.link(record, *link_target(account, value), value.get("ROLE"), value.get("DETAILS"))
