"""The way of every HTTP request: counted, limited, hit by faults, delayed, answered."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable

from aiohttp import web

from sandbox.calls import Calls, Day, SlidingSecond
from sandbox.exchange import Call, Refusal, Route, UnreadableBody, Vendor
from sandbox.faults import FaultOrder, Faults
from sandbox.scenario import Scenario

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAINTENANCE = "<!DOCTYPE html><html><head><title>Wartung</title></head><body><h1>Wartungsarbeiten</h1></body></html>"
USELESS_BODIES = {"malformed": ('{"id": 1, "tru', "application/json"), "html": (MAINTENANCE, "text/html"),
                  "empty": ("", "application/json")}  # fmt: skip
FAILURES = {"400": "Bad Request", "403": "Forbidden", "500": "Internal Server Error", "503": "Service Unavailable",
            "429": "Too Many Requests"}  # fmt: skip


class Gate:
    """Wraps the vendors' operations with everything that is not about their content."""

    def __init__(self, faults: Faults, calls: Calls) -> None:
        self._faults = faults
        self._calls = calls
        self.latency: defaultdict[str, float] = defaultdict(float)
        """Seconds by which each system's answers are delayed."""
        self.limits: dict[str, int] = {}
        """Requests accepted in any one second by system; systems left out have no limit."""
        self._days: dict[str, Day] = {}
        self._windows: defaultdict[str, SlidingSecond] = defaultdict(SlidingSecond)

    def open(self, router: web.UrlDispatcher, vendor: Vendor) -> None:
        """Register all of a vendor's calls."""
        for route in vendor.routes():
            for suffix in ("",) if route.path.endswith("}") else vendor.suffixes:
                router.add_route(route.method, vendor.prefix + route.path + suffix, self._handler(vendor, route))
        unknown = Route("*", "/(unknown)", lambda call: vendor.trouble(404, "no such call"), changes=False)
        router.add_route("*", vendor.prefix + "/{tail:.*}", self._handler(vendor, unknown))

    def set_limits(self, scenario: Scenario) -> None:
        """Take the limits that a scenario gives its accounts."""
        self.limit("webinaris", scenario.webinaris.per_second)
        self.limit("klicktipp", scenario.klicktipp.per_second)
        self.limit("activecampaign", scenario.activecampaign.per_second)
        self.limit("insightly", scenario.insightly.per_second)
        self.limit("callexa", scenario.callexa.per_second)
        self.limit("etermin", scenario.etermin.per_second)
        self.limit("quentn", None)
        self.limit_day("insightly", scenario.insightly.per_day, 0)

    def limit(self, system: str, per_second: int | None) -> None:
        """Accept at most so many requests in any one second; ``None`` for any number."""
        if per_second is None:
            self.limits.pop(system, None)
        else:
            self.limits[system] = per_second

    def limit_day(self, system: str, per_day: int | None, used: int | None = None) -> None:
        """Accept at most so many requests a day, of which ``used`` have been; ``None`` for as many as have been.

        :param per_day: ``None`` for any number.
        """
        used = self.used_today(system) if used is None else used
        if per_day is None:
            self._days.pop(system, None)
        else:
            self._days[system] = Day(per_day, used)

    def used_today(self, system: str) -> int:
        """Return how many requests were accepted today, 0 for a system without a limit."""
        return self._days[system].used if system in self._days else 0

    def _handler(self, vendor: Vendor, route: Route) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._calls.arrived(vendor.system)
            call = await _read(vendor, request)
            response, outcome = await self._serve(vendor, route, call, request)
            self._calls.ended(vendor.system, f"{request.method} {route.path}", outcome)
            return response

        return handle

    async def _serve(self, vendor: Vendor, route: Route, call: Call, request: web.Request) -> tuple[web.Response, str]:
        """Return the response and how the request ended, for the counters."""
        fault = self._faults.strike(vendor.system, "before", call.method, call.path, route.changes)
        if fault is None:
            response = self._limited(vendor) or _work(vendor, route, call)
            response.headers.update(self._rate_headers(vendor.system))
            if response.status < 400:
                fault = self._faults.strike(vendor.system, "after", call.method, call.path, route.changes)
        elif fault.fault in FAILURES:
            response = _failure(vendor, fault)
        else:
            response = web.Response()
        if delay := self.latency[vendor.system]:
            await asyncio.sleep(delay)
        return await _spoil(fault, response, request)

    def _limited(self, vendor: Vendor) -> web.Response | None:
        """Take a place in the system's second and day, or return the 429 when one of them is full."""
        limit, day, window = self.limits.get(vendor.system), self._days.get(vendor.system), None
        if limit is not None:
            window = self._windows[vendor.system]
            if window.count() >= limit:
                response = vendor.trouble(429, "Too Many Requests")
                response.headers["Retry-After"] = str(max(1, math.ceil(window.seconds_until_free())))
                return response
        if day is not None:
            if not day.left:
                return vendor.trouble(429, "Too Many Requests")
            day.add()
        if window is not None:
            window.add()
        return None

    def _rate_headers(self, system: str) -> dict[str, str]:
        """Return what is left: of the day where there is a daily limit (Insightly's way), else of the second."""
        if (day := self._days.get(system)) is not None:
            return {"X-RateLimit-Limit": str(day.limit), "X-RateLimit-Remaining": str(day.left)}
        limit = self.limits.get(system)
        if limit is None:
            return {}
        free = max(limit - self._windows[system].count(), 0)
        return {"RateLimit-Limit": str(limit), "RateLimit-Remaining": str(free)}


async def _read(vendor: Vendor, request: web.Request) -> Call:
    raw = await request.read() if request.body_exists else b""
    suffix = vendor.suffixes[-1]
    path = request.path[len(vendor.prefix) :].removesuffix(suffix)
    params = {name: value.removesuffix(suffix) for name, value in request.match_info.items()}
    return Call(request.method, path, params, request.query, request.headers, raw)


def _work(vendor: Vendor, route: Route, call: Call) -> web.Response:
    try:
        return route.operation(call)
    except Refusal as refusal:
        return refusal.response
    except UnreadableBody as error:
        return vendor.trouble(400, str(error))


def _failure(vendor: Vendor, fault: FaultOrder) -> web.Response:
    response = vendor.trouble(int(fault.fault), FAILURES[fault.fault])
    if fault.retry_after is not None:
        response.headers["Retry-After"] = f"{fault.retry_after:g}"
    return response


async def _spoil(fault: FaultOrder | None, response: web.Response, request: web.Request) -> tuple[web.Response, str]:
    """Do to the answer what the fault says, and name how the request ended."""
    if fault is None or fault.fault in FAILURES:
        return response, str(response.status)
    if fault.fault == "slow":
        await asyncio.sleep(fault.duration)
        return response, str(response.status)
    if fault.fault in USELESS_BODIES:
        text, kind = USELESS_BODIES[fault.fault]
        return web.Response(text=text, content_type=kind), "200"
    if fault.fault == "hang":
        await asyncio.sleep(fault.duration)
    if request.transport is not None:
        request.transport.abort()
    return web.Response(), "hung" if fault.fault == "hang" else "dropped"
