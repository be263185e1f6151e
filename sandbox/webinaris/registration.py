"""Registering at Webinaris, the legacy and the JSON way (contract: webinaris.md 1.1 and 1.3)."""

from __future__ import annotations

import hmac
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiohttp import web

from sandbox.addresses import is_address, normal_address
from sandbox.clock import GERMAN_MINUTE, german_minute
from sandbox.exchange import Call, Refusal, json_answer
from sandbox.webinaris.account import WebinarDate, WebinarisAccount

NOT_EMPTY = ("key", "password", "is_paid", "time", "ip_address")
PRESENT = ("email", "firstname", "lastname")
VERSIONS = frozenset({"v1.0", "v1.1"})


def register_legacy(account: WebinarisAccount, call: Call) -> web.Response:
    """``GET /api/``: answers the text ``OK``; calling again for the same date only switches the access.

    Neither status nor body of failures are documented: here 400 or 403 with a text that begins with ``ERROR``.
    """
    query = call.query
    lacking = [name for name in NOT_EMPTY if not query.get(name)] + [name for name in PRESENT if name not in query]
    if lacking:
        raise _text_refusal(400, f"missing parameter {lacking[0]}")
    webinar = account.webinars.get(query["key"])
    if webinar is None or not hmac.compare_digest(query["password"].encode(), webinar.password.encode()):
        raise _text_refusal(403, "unknown key or wrong password")
    if query["is_paid"] not in {"YES", "NO"}:
        raise _text_refusal(400, "is_paid must be YES or NO")
    if query["email"] and not is_address(normal_address(query["email"])):
        raise _text_refusal(400, "invalid email")
    date = account.date_at(webinar, query["time"])
    if date is None:
        raise _text_refusal(400, "no showtime at this time")
    account.register(
        date, query["email"], query["is_paid"] == "YES",
        first_name=query["firstname"], last_name=query["lastname"], phone=query.get("phone", ""),
    )  # fmt: skip
    return web.Response(text="OK")


def register_json(account: WebinarisAccount, apikey: str, call: Call) -> web.Response:
    """``POST /api/register``, v1.0 and v1.1; only the answer's ``status`` is documented, the rest is assumed."""
    body = call.body
    for name in ("email", "webinar_id", "apikey", "time", "version"):
        if body.get(name) in (None, ""):
            raise _refusal(400, f"missing field {name}")
    if not hmac.compare_digest(str(body["apikey"]).encode(), apikey.encode()):
        raise _refusal(403, "invalid apikey")
    if body["version"] not in VERSIONS:
        raise _refusal(400, "unknown version")
    if body.get("access", "active") not in {"active", "inactive"}:
        raise _refusal(400, "access must be active or inactive")
    email = str(body["email"])
    if not is_address(normal_address(email)):
        raise _refusal(400, "invalid email")
    date = _date(account, str(body["webinar_id"]), body["time"])
    names = {"first_name": "firstname", "last_name": "lastname", "phone": "phone"}
    about = {own: str(body.get(theirs) or "") for own, theirs in names.items()}
    one = account.register(date, email, body.get("access", "active") == "active", timezone=_zone(body), **about)
    return json_answer({"status": "success", "participant_id": one.id, "access": body.get("access", "active")})


def _date(account: WebinarisAccount, webinar_id: str, time: object) -> WebinarDate:
    webinar = account.webinars.get(webinar_id)
    if webinar is None:
        raise _refusal(404, "unknown webinar_id")
    date = account.date_at(webinar, _minute(time))
    if date is None:
        raise _refusal(400, "no showtime at this time")
    return date


def _minute(time: object) -> str:
    """Return ``DD.MM.YYYY HH:MM`` for a unix timestamp or the same text."""
    text = str(time)
    try:
        return german_minute(float(text)) if text.replace(".", "", 1).isdigit() else _checked(text)
    except (ValueError, OverflowError, OSError) as error:
        raise _refusal(400, "time must be a UNIX timestamp or DD.MM.YYYY HH:MM") from error


def _checked(text: str) -> str:
    return datetime.strptime(text, GERMAN_MINUTE).strftime(GERMAN_MINUTE)  # noqa: DTZ007 - only its form matters


def _zone(body: dict[str, object]) -> str:
    name = str(body.get("timezone") or "")
    try:
        return ZoneInfo(name).key if name else ""
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise _refusal(400, "unknown timezone") from error


def _text_refusal(status: int, words: str) -> Refusal:
    return Refusal(web.Response(text=f"ERROR: {words}", status=status))


def _refusal(status: int, words: str) -> Refusal:
    return Refusal(json_answer({"status": "error", "message": words}, status))
