"""The sandbox's own calls about Callexa: what people answer, and time that passes. None of it is an effect."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sandbox.addresses import normal_address
from sandbox.callexa.account import CallexaAccount, Recipient, Survey, answer_object, moment_text
from sandbox.exchange import json_answer
from sandbox.orders import bad_request, read_order
from sandbox.world import World


class AnswerOrder(BaseModel):
    """Body of ``POST /_sandbox/callexa/answer``.

    :param recipient: an id; :param email: instead of it, the newest entry of an address that was not skipped.
    :param rating: whatever shall be read, 11 or a word among it.
    """

    model_config = ConfigDict(extra="forbid")

    survey: str = "s1"
    recipient: str = ""
    email: str = ""
    rating: int | str
    comment: str = ""


class AdvanceOrder(BaseModel):
    """Body of ``POST /_sandbox/callexa/advance``."""

    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[float, Field(gt=0, le=10 * 365 * 86400)]


class CallexaControl:
    """``POST /_sandbox/callexa/...``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def open(self, router: web.UrlDispatcher) -> None:
        """Register all calls."""
        router.add_post("/_sandbox/callexa/answer", self.answer)
        router.add_post("/_sandbox/callexa/advance", self.advance)

    async def answer(self, request: web.Request) -> web.Response:
        """A recipient answers now; whoever has answered already changes the answer."""
        order = await read_order(request, AnswerOrder)
        survey = self._account.surveys.get(order.survey)
        if survey is None:
            raise bad_request([f"survey: there is no survey {order.survey!r}"])
        one = self._account.answer(survey, self._recipient(survey, order), order.rating, order.comment)
        return json_answer(answer_object(one))

    async def advance(self, request: web.Request) -> web.Response:
        """Time passes for the queue: what is due then counts as sent."""
        order = await read_order(request, AdvanceOrder)
        self._account.advance(order.seconds)
        return json_answer({"now": moment_text(self._account.now())})

    @property
    def _account(self) -> CallexaAccount:
        return self._world.callexa

    def _recipient(self, survey: Survey, order: AnswerOrder) -> Recipient:
        """Return who answers.

        :raises HTTPBadRequest: when nobody like that was sent the survey yet.
        """
        if order.recipient:
            found = [one for one in (survey.recipients.get(order.recipient),) if one is not None]
        else:
            found = survey.of(normal_address(order.email))
        sent = [one for one in found if one.state(self._account.now()) == "sent"]
        if not sent:
            raise bad_request(["recipient: nobody like that was sent this survey yet"])
        return sent[-1]
