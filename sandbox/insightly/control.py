"""The sandbox's own calls about Insightly: what people do in the CRM. None of it is an effect."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web

from sandbox.exchange import json_answer
from sandbox.gate import Gate
from sandbox.insightly import orders, set_up
from sandbox.insightly.account import InsightlyAccount
from sandbox.insightly.answers import record_object
from sandbox.insightly.kinds import CONTACT, NOTE, PARENTS
from sandbox.insightly.moments import record_text
from sandbox.insightly.record import Record
from sandbox.insightly.shift import Shift
from sandbox.orders import bad_request, read_order
from sandbox.scenario_insightly import InsightlyContactModel, OpportunityModel, ProjectModel
from sandbox.world import World

Model = TypeVar("Model", InsightlyContactModel, OpportunityModel, ProjectModel)
KINDS = {kind.plural: kind for kind in (*PARENTS, NOTE)}


class InsightlyControl:
    """``POST /_sandbox/insightly/...``; most calls answer with the record as it is then."""

    def __init__(self, world: World, gate: Gate) -> None:
        self._world, self._gate = world, gate

    def open(self, router: web.UrlDispatcher) -> None:
        """Register all calls."""
        calls = (self.state, self.edit, self.delete, self.tag, self.link, self.contact, self.opportunity,
                 self.project, self.stamp, self.shift, self.generate, self.quota, self.key)  # fmt: skip
        for call in calls:
            router.add_post(f"/_sandbox/insightly/{call.__name__}", call)

    async def state(self, request: web.Request) -> web.Response:
        """A record comes into a state now."""
        order = await read_order(request, orders.StateOrder)
        record = self._record(order.object, order.id)
        self._check_state(record, order.state)
        self._account.enter(record, order.state)
        return json_answer(record_object(record))

    async def edit(self, request: web.Request) -> web.Response:
        """Fields change, the state does not."""
        order = await read_order(request, orders.EditOrder)
        record = self._record(order.object, order.id)
        if unknown := set(order.fields) - set(record.kind.writable) - {"CUSTOMFIELDS"}:
            raise bad_request([f"fields: {record.kind.name} has no field {min(unknown)!r} that can be edited"])
        record.fields |= order.fields
        self._account.touch(record)
        return json_answer(record_object(record))

    async def delete(self, request: web.Request) -> web.Response:
        """A record is deleted."""
        order = await read_order(request, orders.DeleteOrder)
        self._account.delete(self._record(order.object, order.id), keep_links=order.keep_links)
        return json_answer({})

    async def tag(self, request: web.Request) -> web.Response:
        """A tag is put on a record or taken off it."""
        order = await read_order(request, orders.TagOrder)
        record = self._record(order.object, order.id)
        others = tuple(tag for tag in record.tags if tag != order.tag)
        record.tags = others if order.remove else (*others, order.tag)
        self._account.touch(record)
        return json_answer(record_object(record))

    async def link(self, request: web.Request) -> web.Response:
        """A contact is attached to a record or detached from it."""
        order = await read_order(request, orders.LinkOrder)
        record = self._record(order.object, order.id)
        link = self._account.link(record, CONTACT.name, self._record("Contacts", order.contact).id)
        if order.remove:
            self._account.unlink(record, link)
        self._account.touch(record)
        return json_answer(record_object(record))

    async def contact(self, request: web.Request) -> web.Response:
        """A contact is added, created now; words as in the scenario file."""
        model = await read_order(request, InsightlyContactModel)
        return _added(lambda: set_up.put_contact(self._account, _begun_now(model), time.time()))

    async def opportunity(self, request: web.Request) -> web.Response:
        """An opportunity is added; here offsets count from now, and it is created now when none is given."""
        model = await read_order(request, OpportunityModel)
        self._check_contacts(model)
        return _added(lambda: set_up.put_opportunity(self._account, _begun_now(model), time.time()))

    async def project(self, request: web.Request) -> web.Response:
        """A project is added, likewise."""
        model = await read_order(request, ProjectModel)
        self._check_contacts(model)
        return _added(lambda: set_up.put_project(self._account, _begun_now(model), time.time()))

    async def stamp(self, request: web.Request) -> web.Response:
        """Many records change in the same second."""
        order = await read_order(request, orders.StampOrder)
        account, table = self._account, self._account.table(KINDS[order.object])
        at = account.now() if order.at is None else order.at
        records = [self._record(order.object, number) for number in order.ids or table.ids()[: order.count]]
        for record in records:
            self._check_state(record, order.state or record.state)
        for record in records:
            account.enter(record, order.state or record.state, at)
        return json_answer({"stamped": len(records), "DATE_UPDATED_UTC": record_text(at)})

    async def shift(self, request: web.Request) -> web.Response:
        """Rows will be deleted or edited while a list is read."""
        order = await read_order(request, orders.ShiftOrder)
        shift = Shift(KINDS[order.object].name, order.pages, order.delete, order.edit)
        self._account.shifts.append(shift)
        return json_answer({})

    async def generate(self, request: web.Request) -> web.Response:
        """Many opportunities are added."""
        order = await read_order(request, orders.GenerateOrder)
        made = set_up.generate(self._account, order.count, self._account.now(), order.seed)
        return json_answer({"first": made[0], "last": made[-1]}, 201)

    async def quota(self, request: web.Request) -> web.Response:
        """Another number of requests a day."""
        order = await read_order(request, orders.QuotaOrder)
        self._gate.limit_day("insightly", order.per_day, order.used)
        return json_answer({"per_day": order.per_day, "used": self._gate.used_today("insightly")})

    async def key(self, request: web.Request) -> web.Response:
        """The key is replaced; the old one is revoked."""
        self._account.key = (await read_order(request, orders.KeyOrder)).key
        return json_answer({})

    @property
    def _account(self) -> InsightlyAccount:
        self._world.insightly.catch_up()
        return self._world.insightly

    def _record(self, plural: str, number: int) -> Record:
        record = self._account.table(KINDS[plural]).get(number)
        if record is None:
            raise bad_request([f"id: there is no {KINDS[plural].name} with id {number}"])
        return record

    def _check_contacts(self, model: OpportunityModel | ProjectModel) -> None:
        for number in model.contacts:
            self._record("Contacts", number)

    @staticmethod
    def _check_state(record: Record, state: str) -> None:
        if state not in record.kind.states:
            raise bad_request([f"state: there is no state {state!r}; it is one of {', '.join(record.kind.states)}"])


def _begun_now(model: Model) -> Model:
    return model if "created" in model.model_fields_set else model.model_copy(update={"created": 0.0})


def _added(put: Callable[[], Record]) -> web.Response:
    try:
        return json_answer(record_object(put()), 201)
    except ValueError as error:
        raise bad_request([f"id: {error}"]) from error
