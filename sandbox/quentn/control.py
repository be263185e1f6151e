"""The sandbox's own calls about Quentn: what people do there, and time that passes. None of it is an effect."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sandbox.exchange import json_answer
from sandbox.orders import bad_request, read_order
from sandbox.quentn.account import QuentnAccount
from sandbox.quentn.answers import contact_object
from sandbox.quentn.contact import Contact
from sandbox.quentn.mail_status import STATUSES
from sandbox.world import World

SHOWN = ("id", "mail", "mail_status", "terms")


class StatusOrder(BaseModel):
    """Body of ``POST /_sandbox/quentn/status``: names as in the scenario file."""

    model_config = ConfigDict(extra="forbid")

    mail: str
    status: str


class RestartOrder(BaseModel):
    """Body of ``POST /_sandbox/quentn/restart``."""

    model_config = ConfigDict(extra="forbid")

    mail: str
    campaign: int


class AdvanceOrder(BaseModel):
    """Body of ``POST /_sandbox/quentn/advance``."""

    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[float, Field(gt=0, le=10 * 365 * 86400)]


class QuentnControl:
    """``POST /_sandbox/quentn/...``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def open(self, router: web.UrlDispatcher) -> None:
        """Register all calls."""
        for call in (self.status, self.restart, self.advance):
            router.add_post(f"/_sandbox/quentn/{call.__name__}", call)

    async def status(self, request: web.Request) -> web.Response:
        """Somebody unsubscribes, confirms by double opt-in, is blocked, or is set to unknown by hand."""
        order = await read_order(request, StatusOrder)
        if order.status not in STATUSES:
            raise bad_request([f"status: there is no status {order.status!r}; it is one of {', '.join(STATUSES)}"])
        found = self._found(order.mail)
        for one in found:
            one.status = STATUSES[order.status]
        return json_answer([contact_object(one, SHOWN) for one in found])

    async def restart(self, request: web.Request) -> web.Response:
        """Somebody is reset for a campaign ("Restart campaign"), which only people can do."""
        order = await read_order(request, RestartOrder)
        for one in self._found(order.mail):
            one.campaigns.discard(order.campaign)
        return json_answer({})

    async def advance(self, request: web.Request) -> web.Response:
        """Time passes for the flood limit."""
        self._account.advance((await read_order(request, AdvanceOrder)).seconds)
        return json_answer({"now": self._account.now()})

    @property
    def _account(self) -> QuentnAccount:
        return self._world.quentn

    def _found(self, mail: str) -> list[Contact]:
        found = self._account.with_mail(mail)
        if not found:
            raise bad_request(["mail: there is no contact with this address"])
        return found
