"""Insightly's answers: bare objects and arrays, errors with ``Message`` (contract: insightly.md 1.2 to 1.8)."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from sandbox.exchange import Refusal, json_answer
from sandbox.insightly.kinds import NOTE, OPPORTUNITY
from sandbox.insightly.moments import day_text, record_text
from sandbox.insightly.record import Link, Record, StateChange

UNAUTHORISED = "Authorization has been denied for this request."


def refusal(status: int, words: str) -> Refusal:
    """Return an error in Insightly's shape."""
    return Refusal(json_answer({"Message": words}, status))


def not_found(name: str, number: object) -> Refusal:
    """Return the 404 of a record (its words are assumed)."""
    return refusal(404, f"{name} {number} was not found.")


def nothing() -> web.Response:
    """Return the answer of a successful DELETE: an empty body (its status is assumed)."""
    return web.Response(status=202)


def record_answer(record: Record, status: int = 200, *, brief: bool = False) -> web.Response:
    """Return one record with its ETag."""
    return json_answer(record_object(record, brief=brief), status, {"ETag": record.etag})


def record_object(record: Record, *, brief: bool = False) -> dict[str, Any]:
    """Return a record as Insightly shows it; ``brief`` leaves out links, tags and custom fields."""
    kind = record.kind
    shown = {kind.number: record.id, **kind.writable, **kind.fixed, **record.fields}
    if kind.state:
        shown[kind.state] = record.state
        shown[kind.closed] = None if record.closed is None else day_text(record.closed)
    if kind is OPPORTUNITY:
        shown["OPPORTUNITY_VALUE"] = shown["BID_AMOUNT"]
    shown["DATE_CREATED_UTC"] = record_text(record.created)
    shown["DATE_UPDATED_UTC"] = record_text(record.updated)
    if kind is not NOTE:
        shown["LAST_ACTIVITY_DATE_UTC"] = None if record.activity is None else record_text(record.activity)
    parts = {"CUSTOMFIELDS": shown.pop("CUSTOMFIELDS", []), "DATES": [], "TAGS": tag_objects(record),
             "LINKS": link_objects(record)}  # fmt: skip
    if not brief:
        shown.update({name: parts[name] for name in kind.parts})
    return shown


def tag_objects(record: Record) -> list[dict[str, str]]:
    """Return a record's tags."""
    return [{"TAG_NAME": tag} for tag in record.tags]


def link_objects(record: Record) -> list[dict[str, Any]]:
    """Return a record's links."""
    return [link_object(record, link) for link in record.links]


def link_object(record: Record, link: Link) -> dict[str, Any]:
    """Return one link; that ``OBJECT_*`` repeats the record is assumed."""
    return {
        "LINK_ID": link.id, "OBJECT_NAME": record.kind.name, "OBJECT_ID": record.id, "LINK_OBJECT_NAME": link.name,
        "LINK_OBJECT_ID": link.number, "ROLE": link.role, "DETAILS": link.details, "RELATIONSHIP_ID": None,
        "IS_FORWARD": None,
    }  # fmt: skip


def state_object(record: Record, change: StateChange) -> dict[str, Any]:
    """Return one entry of ``StateHistory``."""
    return {
        "OPPORTUNITY_ID": record.id, "DATE_CHANGED_UTC": record_text(change.at),
        "FOR_OPPORTUNITY_STATE": change.state, "STATE_REASON_ID": None, "STATE_REASON": None,
    }  # fmt: skip
