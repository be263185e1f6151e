"""Callexa's API below ``/api/v2``. ASSUMED: all of it but the base path and HTTP Basic with e-mail and API key.

The vendor's documentation of the calls is not publicly known (contract: callexa.md 5). What they do is known from
its product pages: a queue of recipients for each survey, a minimum distance between two surveys to one address
(26 weeks), a delay, and answers as ``NPS_rating``, ``NPS_comment`` and ``NPS_date``. Paths, the other names, paging
and errors are invented, and every answer says so with the header ``X-Sandbox-Extension: assumed``.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from aiohttp import web

from sandbox.addresses import is_address, normal_address
from sandbox.basic import basic_credentials
from sandbox.callexa.account import CallexaAccount, Survey, answer_object, moment_text, recipient_object
from sandbox.exchange import Call, Operation, Refusal, Route, json_answer
from sandbox.world import World

ASSUMED = {"X-Sandbox-Extension": "assumed"}
PAGE = 100
LONGEST_DELAY = 365
DAY = 86400


class Callexa:
    """All calls of Callexa over the account of one world."""

    system = "callexa"
    prefix = "/callexa/api/v2"
    suffixes: tuple[str, ...] = ("",)

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> Iterator[Route]:
        """Return all calls."""
        yield Route("GET", "/surveys", self._guarded(self._surveys), False)
        yield Route("POST", "/surveys/{id}/recipients", self._guarded(self._ask), True)
        yield Route("GET", "/surveys/{id}/recipients", self._guarded(self._recipients), False)
        yield Route("GET", "/surveys/{id}/answers", self._guarded(self._answers), False)

    def trouble(self, status: int, words: str) -> web.Response:
        """Return an error with its message."""
        return json_answer({"error": {"message": words}}, status, ASSUMED)

    @property
    def _account(self) -> CallexaAccount:
        return self._world.callexa

    def _guarded(self, operation: Operation) -> Operation:
        def guarded(call: Call) -> web.Response:
            login, apikey = basic_credentials(call.headers) or ("", "")
            model = self._world.scenario.callexa
            known = f"{model.login.lower()}:{model.apikey}"
            if not hmac.compare_digest(f"{login.lower()}:{apikey}".encode(), known.encode()):
                raise self._refusal(401, "wrong login or API key")
            response = operation(call)
            response.headers.update(ASSUMED)
            return response

        return guarded

    def _surveys(self, _call: Call) -> web.Response:
        return json_answer({"surveys": [{"id": one.id, "name": one.name} for one in self._account.surveys.values()]})

    def _ask(self, call: Call) -> web.Response:
        """Queue a recipient: 201, or 200 when the address was asked too short a time ago."""
        survey, body = self._survey(call), call.body
        email, name = body.get("email"), body.get("name")
        if not isinstance(email, str) or not is_address(normal_address(email)):
            raise self._refusal(400, "email: is no address")
        if not isinstance(name, str):
            raise self._refusal(400, "name: is missing")
        salutation, external_id = (self._text(body, field) for field in ("salutation", "external_id"))
        delay, most = self._days(body, "delay_days"), self._days(body, "max_delay_days")
        if 0 < most < delay:
            raise self._refusal(400, "max_delay_days: is less than delay_days")
        one = self._account.ask(survey, email, name, salutation or "", delay * DAY, external_id, most)
        if one.send_at is None:
            return json_answer({"id": one.id, "state": "skipped", "reason": "asked_recently"})
        return json_answer({"id": one.id, "state": "queued", "send_at": moment_text(one.send_at)}, 201)

    def _recipients(self, call: Call) -> web.Response:
        """Return the entries of an address, or all, oldest first; skipped ones as well."""
        survey, now = self._survey(call), self._account.now()
        asked = call.query.get("email")
        found = survey.recipients.values() if asked is None else survey.of(normal_address(asked))
        return json_answer({"recipients": [recipient_object(one, now) for one in found]})

    def _answers(self, call: Call) -> web.Response:
        """Return a page of answers given or changed since a second, that second included, oldest first."""
        survey, since, page = self._survey(call), self._since(call), self._page(call)
        found = [one for one in self._account.answers(survey) if since is None or int(one.at) >= int(since)]
        part = found[(page - 1) * PAGE : page * PAGE]
        more = page + 1 if len(found) > page * PAGE else None
        return json_answer({"answers": [answer_object(one) for one in part], "next_page": more})

    def _survey(self, call: Call) -> Survey:
        survey = self._account.surveys.get(call.params["id"])
        if survey is None:
            raise self._refusal(404, "there is no such survey")
        return survey

    def _text(self, body: dict[str, Any], name: str) -> str | None:
        value = body.get(name)
        if value is not None and not isinstance(value, str):
            raise self._refusal(400, f"{name}: must be a text")
        return value

    def _days(self, body: dict[str, Any], name: str) -> int:
        value = body.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LONGEST_DELAY:
            raise self._refusal(400, f"{name}: must be a whole number from 0 to {LONGEST_DELAY}")
        return value

    def _since(self, call: Call) -> float | None:
        text = call.query.get("updated_after")
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise self._refusal(400, "updated_after: must be ISO 8601") from error
        if moment.tzinfo is None:
            raise self._refusal(400, "updated_after: must have a zone")
        return moment.timestamp()

    def _page(self, call: Call) -> int:
        text = call.query.get("page", "1")
        if not re.fullmatch(r"[1-9]\d{0,6}", text):
            raise self._refusal(400, "page: must be a number from 1 on")
        return int(text)

    def _refusal(self, status: int, words: str) -> Refusal:
        return Refusal(self.trouble(status, words))
