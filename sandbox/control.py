"""The sandbox's own calls below ``/_sandbox``: what took place, what shall go wrong, begin anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sandbox.callexa.control import CallexaControl
from sandbox.calls import Calls
from sandbox.effects import Effects
from sandbox.etermin.control import EterminControl
from sandbox.exchange import json_answer
from sandbox.faults import FaultOrder, Faults, System
from sandbox.gate import Gate
from sandbox.insightly.control import InsightlyControl
from sandbox.mail_page import MailPages
from sandbox.orders import bad_request, read_order
from sandbox.page import index
from sandbox.quentn.control import QuentnControl
from sandbox.scenario import ScenarioError, load_scenario
from sandbox.state import state_of
from sandbox.world import World


class LatencyOrder(BaseModel):
    """Body of ``POST /_sandbox/latency``; without a system it is for all."""

    model_config = ConfigDict(extra="forbid")

    system: System | None = None
    seconds: Annotated[float, Field(ge=0, le=600)]


class LimitOrder(BaseModel):
    """Body of ``POST /_sandbox/limits``; ``null`` lifts the limit."""

    model_config = ConfigDict(extra="forbid")

    system: Literal["webinaris", "klicktipp", "activecampaign", "insightly", "callexa", "etermin", "quentn"]
    per_second: Annotated[int, Field(ge=1)] | None


class StartOrder(BaseModel):
    """Body of ``POST /_sandbox/start``; without a scenario the present one begins anew."""

    model_config = ConfigDict(extra="forbid")

    scenario: Path | None = None


SYSTEMS: tuple[System, ...] = get_args(System)


class Control:
    """Everything that the stand-ins do not offer but their users need."""

    def __init__(self, world: World, effects: Effects, faults: Faults, calls: Calls, gate: Gate) -> None:
        self._world, self._effects, self._faults, self._calls, self._gate = world, effects, faults, calls, gate

    def open(self, router: web.UrlDispatcher) -> None:
        """Register all calls."""
        pages = MailPages(self._world)
        router.add_get("/", index)
        router.add_get("/_sandbox/mails", pages.listing)
        router.add_get("/_sandbox/mails/{number}", pages.single)
        router.add_get("/_sandbox/effects", self.effects)
        router.add_delete("/_sandbox/effects", self.forget_effects)
        router.add_get("/_sandbox/calls", self.calls)
        router.add_delete("/_sandbox/calls", self.forget_calls)
        router.add_get("/_sandbox/faults", self.faults)
        router.add_post("/_sandbox/faults", self.order_fault)
        router.add_delete("/_sandbox/faults", self.lift_faults)
        router.add_get("/_sandbox/state", self.state)
        router.add_post("/_sandbox/latency", self.set_latency)
        router.add_post("/_sandbox/limits", self.set_limit)
        router.add_post("/_sandbox/start", self.start)
        router.add_post("/_sandbox/reset", self.reset)
        InsightlyControl(self._world, self._gate).open(router)
        CallexaControl(self._world).open(router)
        EterminControl(self._world).open(router)
        QuentnControl(self._world).open(router)

    async def effects(self, request: web.Request) -> web.Response:
        """``GET /_sandbox/effects[?since=SEQ][&system=]``."""
        since = request.query.get("since", "0")
        if not since.isdigit():
            raise bad_request(["since: must be the number of an effect"])
        found = self._effects.since(int(since), request.query.get("system"))
        return json_answer({"effects": [effect.as_json() for effect in found]})

    async def forget_effects(self, _request: web.Request) -> web.Response:
        """``DELETE /_sandbox/effects``."""
        self._effects.clear()
        return json_answer({})

    async def calls(self, _request: web.Request) -> web.Response:
        """``GET /_sandbox/calls``."""
        return json_answer(self._calls.as_json())

    async def forget_calls(self, _request: web.Request) -> web.Response:
        """``DELETE /_sandbox/calls``."""
        self._calls.clear()
        return json_answer({})

    async def faults(self, _request: web.Request) -> web.Response:
        """``GET /_sandbox/faults``."""
        return json_answer({"faults": self._faults.as_json()})

    async def order_fault(self, request: web.Request) -> web.Response:
        """``POST /_sandbox/faults``: one more fault."""
        self._faults.order(await read_order(request, FaultOrder))
        return json_answer({"faults": self._faults.as_json()}, 201)

    async def lift_faults(self, _request: web.Request) -> web.Response:
        """``DELETE /_sandbox/faults``: all of them."""
        self._faults.clear()
        return json_answer({})

    async def state(self, _request: web.Request) -> web.Response:
        """``GET /_sandbox/state``."""
        return json_answer(state_of(self._world))

    async def set_latency(self, request: web.Request) -> web.Response:
        """``POST /_sandbox/latency``."""
        order = await read_order(request, LatencyOrder)
        for system in [order.system] if order.system else SYSTEMS:
            self._gate.latency[system] = order.seconds
        return json_answer({"latency": {system: self._gate.latency[system] for system in SYSTEMS}})

    async def set_limit(self, request: web.Request) -> web.Response:
        """``POST /_sandbox/limits``."""
        order = await read_order(request, LimitOrder)
        self._gate.limit(order.system, order.per_second)
        return json_answer({"limits": self._gate.limits})

    async def start(self, request: web.Request) -> web.Response:
        """``POST /_sandbox/start``: the world begins now, from another scenario or the present one.

        Faults, latency, sessions at KlickTipp and the Web Push that was set up stay.
        """
        order = await read_order(request, StartOrder)
        try:
            scenario = load_scenario(order.scenario) if order.scenario else None
        except ScenarioError as error:
            raise bad_request(str(error).splitlines()) from error
        self._begin(scenario is not None)
        self._world.build(scenario)
        self._gate.set_limits(self._world.scenario)
        return json_answer({"started": self._world.clock.zero})

    async def reset(self, _request: web.Request) -> web.Response:
        """``POST /_sandbox/reset``: as after a new start of the process."""
        self._begin(True)
        self._faults.clear()
        self._gate.latency.clear()
        self._world.set_push(None)
        self._world.build()
        self._gate.set_limits(self._world.scenario)
        return json_answer({"started": self._world.clock.zero})

    def _begin(self, log_out: bool) -> None:
        self._calls.clear()
        if log_out:
            self._world.logins.forget()
