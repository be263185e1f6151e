"""Webinaris: the documented calls as documented, and an assumed surface that says so.

Documented (contract: webinaris.md 1.1 to 1.3): the legacy registration, showtimes, the JSON registration.
ASSUMED: ``/api/assumed/dates`` and ``/api/assumed/participants``. Webinaris documents no call that lists
dates, participants or presence; these two stand in for one, and each of their answers carries the header
``X-Sandbox-Extension: assumed``. So does showtimes, whose purpose is documented and whose format is not.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator

from aiohttp import web

from sandbox.clock import german_minute
from sandbox.exchange import Call, Operation, Refusal, Route, json_answer
from sandbox.webinaris.account import Webinar, WebinarDate, WebinarisAccount
from sandbox.webinaris.registration import register_json, register_legacy
from sandbox.world import World

ASSUMED = {"X-Sandbox-Extension": "assumed"}
LARGEST_PAGE = 1000


class Webinaris:
    """All calls of Webinaris over the account of one world."""

    system = "webinaris"
    prefix = "/webinaris"
    suffixes: tuple[str, ...] = ("",)

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> Iterator[Route]:
        """Return all calls. The legacy registration is a GET that changes state."""
        world = self._world
        yield Route("GET", "/api/", lambda call: register_legacy(world.webinaris, call), True)
        yield Route("POST", "/api/register", self._register, True)
        yield Route("GET", "/api/showtimes", self._showtimes, False)
        yield Route("GET", "/api/assumed/dates", self._assumed(self._dates), False)
        yield Route("GET", "/api/assumed/participants", self._assumed(self._participants), False)

    def trouble(self, status: int, words: str) -> web.Response:
        """Return an error with a status and a message."""
        return json_answer({"status": "error", "message": words}, status)

    @property
    def _account(self) -> WebinarisAccount:
        return self._world.webinaris

    def _register(self, call: Call) -> web.Response:
        return register_json(self._account, self._world.scenario.webinaris.apikey, call)

    def _showtimes(self, call: Call) -> web.Response:
        """Return the coming showtimes; note the other parameter names than in the legacy call."""
        webinar = self._account.webinars.get(call.query.get("webinaris_id", ""))
        if webinar is None or not _same(call.query.get("api_password", ""), webinar.password):
            raise Refusal(json_answer({"status": "error", "message": "invalid webinaris_id or api_password"}, 403))
        return json_answer({"webinaris_id": webinar.id, "showtimes": list(self._coming(webinar))}, headers=ASSUMED)

    def _coming(self, webinar: Webinar) -> Iterator[str]:
        now = self._world.clock.now()
        for date in webinar.dates if self._account.listed else ():
            plan = date.plan(now)
            if plan.start > now and not plan.cancelled:
                yield german_minute(plan.start)

    def _assumed(self, operation: Operation) -> Operation:
        """Check the account-wide key and mark every answer as assumed."""

        def marked(call: Call) -> web.Response:
            try:
                if not _same(call.query.get("apikey", ""), self._world.scenario.webinaris.apikey):
                    raise Refusal(self.trouble(403, "invalid apikey"))
                response = operation(call)
            except Refusal as refusal:
                response = refusal.response
            response.headers.update(ASSUMED)
            return response

        return marked

    def _dates(self, call: Call) -> web.Response:
        now, since = self._world.clock.now(), self._moment(call)
        dates = list(self._account.dates.values()) if self._account.listed else []
        if "webinar_id" in call.query:
            dates = [date for date in dates if date.webinar.id == call.query["webinar_id"]]
        shown = [date.as_json(now) for date in dates]
        return json_answer({"now": now, "dates": [one for one in shown if one["updated"] >= since]})

    def _participants(self, call: Call) -> web.Response:
        date = self._account.dates.get(call.query.get("date_id", "")) if self._account.listed else None
        if date is None:
            raise Refusal(self.trouble(404, "unknown date_id"))
        limit = call.query.get("limit", "")
        size = min(max(int(limit), 1), LARGEST_PAGE) if limit.isdigit() else LARGEST_PAGE
        now = self._world.clock.now()
        page = _page(date, call.query.get("after", ""), self._moment(call), now, size + 1)
        more = page[size - 1]["id"] if len(page) > size else None
        until = now - date.webinar.presence_lag
        body = {"date_id": date.id, "read_at": now, "presence_until": until, "participants": page[:size]}
        return json_answer({**body, "next": more})

    def _moment(self, call: Call) -> float:
        """Return ``updated_since``, or a moment before all others without it."""
        try:
            return float(call.query.get("updated_since", "-inf"))
        except ValueError as error:
            raise Refusal(self.trouble(400, "updated_since is no number")) from error


def _page(date: WebinarDate, after: str, since: float, now: float, size: int) -> list[dict[str, object]]:
    """Return up to ``size`` entries after an id that were changed since a moment."""
    page = []
    for one in date.after(after):
        shown = date.shown(one, now)
        if shown is not None and shown["updated"] >= since:
            page.append(shown)
            if len(page) == size:
                break
    return page


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
