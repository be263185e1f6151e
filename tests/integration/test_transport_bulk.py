"""ActiveCampaign's target in bulk, against a small server that imports as the contract says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from handoff.contact import Contact, normalise_email
from handoff.errors import RateLimited, Refused, UnknownOutcome
from handoff.rules.steps import ActiveCampaignTag
from hooks.activecampaign_bulk import BulkCollector
from hooks.activecampaign_target import ActiveCampaignTarget
from hooks.protocols.activecampaign import ActiveCampaignProtocol
from hooks.protocols.activecampaign_steps import ActiveCampaignSteps
from hooks.transport import AsyncTransport
from tests.support.calls import a_call
from tests.support.loopback import Loopback, serving

pytestmark = pytest.mark.integration

STEP = ActiveCampaignTag(step="activecampaign.tag", tag="Webinar")
NEVER = ActiveCampaignTag(step="activecampaign.tag", tag="Webinar", bulk="never")


class Importer:
    """Answers imports; a test sets what goes wrong.

    :ivar imports: the contacts of every import that was accepted.
    :ivar singles: how often each contact was synced on its own.
    """

    def __init__(self) -> None:
        self.imports: list[list[dict[str, Any]]] = []
        self.singles: Counter[str] = Counter()
        self.bad: set[str] = set()
        self.reason = "bad address"
        self.failing: set[str] = set()
        self.polls_until_done = 2
        self.refusal: tuple[int, Any] | None = None
        self.drop_after_commit = False
        self.poll_faults: list[int] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        match request.method, request.path.removeprefix("/api/3"):
            case "GET", "/tags":
                return web.json_response({"tags": [{"id": "20", "tag": "Webinar"}]})
            case "POST", "/import/bulk_import":
                return self._import(request, (await request.json())["contacts"])
            case "GET", "/import/info":
                return self._info()
            case "POST", "/contact/sync":
                email = (await request.json())["contact"]["email"]
                self.singles[email] += 1
                return web.json_response({"contact": {"id": str(len(self.singles))}}, status=201)
            case "POST", "/contactTags":
                return web.json_response({"contactTag": {"id": "7"}}, status=201)
        return web.json_response({"message": "no such call"}, status=404)

    def _import(self, request: web.Request, contacts: list[dict[str, Any]]) -> web.StreamResponse:
        if self.refusal:
            return web.json_response(self.refusal[1], status=self.refusal[0])
        reasons = [
            {"contact": index, "failureReason": self.reason}
            for index, contact in enumerate(contacts)
            if contact["email"] in self.bad
        ]
        if reasons:
            return web.json_response({"success": 0, "message": "no", "failureReasons": reasons}, status=400)
        self.imports.append(contacts)
        if self.drop_after_commit:
            request.transport.abort()
        return web.json_response({"Success": 1, "queued_contacts": len(contacts), "batchId": "b", "message": "queued"})

    def _info(self) -> web.StreamResponse:
        if self.poll_faults:
            return web.Response(status=self.poll_faults.pop(0))
        self.polls_until_done -= 1
        if self.polls_until_done > 0:
            return web.json_response({"status": "active"})
        return web.json_response({"status": "completed", "success": ["1"], "failure": sorted(self.failing)})


@pytest.fixture
async def world() -> AsyncIterator[SimpleNamespace]:
    vendor = Importer()
    async with serving(vendor) as server:
        target = make_target(server)
        yield SimpleNamespace(vendor=vendor, server=server, target=target)
        await target.close()


def make_target(server: Loopback, threshold: int = 5) -> ActiveCampaignTarget:
    protocol = ActiveCampaignProtocol("active", "token")
    transport = AsyncTransport("active", server.url + "/api/3")
    bulk = BulkCollector(protocol, transport, threshold, poll=0.01, patience=0.5)
    return ActiveCampaignTarget(ActiveCampaignSteps(protocol), transport, bulk, 2.0)


async def send(target: ActiveCampaignTarget, count: int, step: ActiveCampaignTag = STEP) -> list[Any]:
    calls = [a_call(step, Contact(f"p{number}@example.org", "Eva")) for number in range(count)]
    return await asyncio.gather(*(target.send(call) for call in calls), return_exceptions=True)


async def test_many_calls_at_once_go_out_as_one_import_and_all_get_their_proof(world):
    assert await send(world.target, 40) == [{"batch_id": "b"}] * 40
    (batch,) = world.vendor.imports
    assert batch[0] == {"email": "p0@example.org", "first_name": "Eva", "tags": ["Webinar"]}
    assert len({contact["email"] for contact in batch}) == 40
    assert not world.vendor.singles


async def test_an_import_holds_at_most_250_contacts(world):
    await send(world.target, 260)
    assert sorted(len(batch) for batch in world.vendor.imports) == [10, 250]


async def test_few_calls_go_out_singly(world):
    results = await send(world.target, 4)
    assert all(result["tag_id"] == "20" for result in results)
    assert (world.vendor.imports, world.vendor.singles.total()) == ([], 4)


async def test_steps_that_say_never_go_out_singly_however_many(world):
    await send(world.target, 12, NEVER)
    assert (world.vendor.imports, world.vendor.singles.total()) == ([], 12)


async def test_a_threshold_of_zero_turns_bulk_off(world):
    target = make_target(world.server, threshold=0)
    await send(target, 12)
    await target.close()
    assert (world.vendor.imports, world.vendor.singles.total()) == ([], 12)


async def test_one_contact_is_never_twice_in_one_import(world):
    calls = [a_call(STEP, Contact(f"p{number % 4}@example.org")) for number in range(8)]
    await asyncio.gather(*(world.target.send(call) for call in calls))
    assert [len({contact["email"] for contact in batch}) for batch in world.vendor.imports] == [4, 4]


async def test_a_contact_that_the_import_failed_is_refused_alone(world):
    world.vendor.failing = {"P3@example.org"}
    results = await send(world.target, 8)
    assert isinstance(results[3], Refused)
    assert results[:3] + results[4:] == [{"batch_id": "b"}] * 7


async def test_a_failure_is_known_however_its_domain_is_shown(world):
    world.vendor.failing = {"Eva@xn--mller-kva.de"}
    people = [Contact(normalise_email("eva@müller.de")), *(Contact(f"p{number}@example.org") for number in range(7))]
    calls = [world.target.send(a_call(STEP, person)) for person in people]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[0], Refused)
    assert results[1:] == [{"batch_id": "b"}] * 7


@pytest.mark.parametrize("reason", ["bad address", ""])
async def test_an_import_refused_for_one_contact_is_tried_without_it(world, reason):
    world.vendor.bad, world.vendor.reason = {"p3@example.org"}, reason
    results = await send(world.target, 8)
    assert isinstance(results[3], Refused)
    assert reason in str(results[3])
    assert results[:3] + results[4:] == [{"batch_id": "b"}] * 7
    assert [len(batch) for batch in world.vendor.imports] == [7]


@pytest.mark.parametrize(
    "refusal",
    [
        (413, {"message": "too large"}),
        (400, {"success": 0, "message": "no", "failureReasons": [{"contact": 99, "failureReason": "?"}]}),
    ],
)
async def test_an_import_refused_as_a_whole_goes_out_singly(world, refusal):
    world.vendor.refusal = refusal
    results = await send(world.target, 8)
    assert all(result["tag_id"] == "20" for result in results)
    assert world.vendor.singles.total() == 8


async def test_a_rate_limit_reaches_every_caller(world):
    world.vendor.refusal = (400, {"success": 0, "message": "Rate limit exceeded.", "failureReasons": []})
    assert {type(result) for result in await send(world.target, 8)} == {RateLimited}
    assert not world.vendor.singles


async def test_a_lost_answer_leaves_all_in_doubt_and_nothing_is_sent_again(world):
    world.vendor.drop_after_commit = True
    assert {type(result) for result in await send(world.target, 8)} == {UnknownOutcome}
    assert len(world.vendor.imports) == 1
    assert not world.vendor.singles


async def test_a_failed_poll_is_repeated(world):
    world.vendor.poll_faults = [500, 429, 503]
    assert await send(world.target, 8) == [{"batch_id": "b"}] * 8


async def test_an_import_that_does_not_end_leaves_all_in_doubt(world):
    world.vendor.polls_until_done = 10**6
    results = await send(world.target, 8)
    assert {type(result) for result in results} == {UnknownOutcome}
    assert "not finished within 0.5 s" in str(results[0])


async def test_a_caller_that_gave_up_while_gathering_is_left_out(world):
    tasks = [
        asyncio.create_task(world.target.send(a_call(STEP, Contact(f"p{number}@example.org")))) for number in range(9)
    ]
    while len(world.server.seen) < 1:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [len(batch) for batch in world.vendor.imports] == [8]


async def test_closing_leaves_nobody_waiting(world):
    world.vendor.polls_until_done = 10**6
    sending = asyncio.create_task(send(world.target, 8))
    while not world.vendor.imports:
        await asyncio.sleep(0.005)
    await world.target.close()
    results = await asyncio.wait_for(sending, 1)
    assert {type(result) for result in results} == {asyncio.CancelledError}
