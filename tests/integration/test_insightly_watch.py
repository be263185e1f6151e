"""What closed before an account was watched stays out; what cannot be read now is read later; doubts end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import RateLimited, Transient, WrongCredentials
from handoff.ledger import cursors
from handoff.planning.planner import record
from handoff.rules.rule import Rule
from hooks import insightly_doubts
from hooks.insightly_doubts import AT_ONCE, PATIENCE
from hooks.insightly_poll import REQUESTS
from hooks.protocols.wire import Request, Response
from hooks.transport import AsyncTransport
from sandbox import INSIGHTLY_KEY
from tests.support.delivery import judge_due
from tests.support.insightly_world import OCCASIONS, RULE, WORLD, Insightly, cursor_of, insightly_world
from tests.support.rows import change, rows

EVERYTHING = {
    "opportunities": ["won", "lost", "abandoned", "suspended"],
    "projects": ["completed", "cancelled", "abandoned", "deferred"],
}
SOON = {"minutes": 0, "after": "closed"}
IN_TWO_WEEKS = {"days": 14, "after": "closed"}
DEALS: dict[str, Any] = {
    "opportunities": [
        {"id": 31, "name": "a", "contacts": [101], "created": "-9d", "states": [{"at": "-8d", "state": "SUSPENDED"}]},
        {"id": 32, "name": "b", "contacts": [101], "created": "-30d", "states": [{"at": "-10d", "state": "WON"}]},
        {"id": 33, "name": "c", "contacts": [101], "created": "-9d"},
        {"id": 34, "name": "d", "contacts": [101], "created": "-3h", "states": [{"at": "-2h", "state": "WON"}]},
        {"id": 35, "name": "e", "contacts": [101], "created": "-9d", "state": "WON"},
    ],
    "projects": [
        {"id": 51, "name": "f", "contacts": [101], "created": "-9d", "states": [{"at": "-8d", "state": "CANCELLED"}]},
        {"id": 52, "name": "g", "contacts": [101], "created": "-9d", "states": [{"at": "-8d", "state": "COMPLETED"}]},
        {"id": 53, "name": "h", "contacts": [101], "created": "-9d"},
    ],
}
WAITING = """
    SELECT occasion.series FROM handoff.batches AS batch JOIN handoff.occasions AS occasion ON
        occasion.id = batch.occasion_id WHERE batch.state = 'waiting' ORDER BY occasion.series
"""
OLD = (*(("Opportunities", number) for number in (31, 32, 34, 35)), ("Projects", 51), ("Projects", 52))


@pytest.fixture
async def crm(ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Insightly]:
    async with insightly_world(ledger_url, monkeypatch, WORLD | DEALS) as running:
        running.rules = [Rule.model_validate(RULE | EVERYTHING)]
        yield running


async def waiting(ledger: AsyncEngine) -> list[str]:
    return [series for (series,) in await rows(ledger, WAITING)]


async def edit(crm: Insightly, *numbers: int, kind: str = "Opportunities") -> None:
    """Edit records so that they look changed, also where they changed this very second."""
    for number in numbers:
        await crm.order("edit", object=kind, id=number)


async def polls(crm: Insightly, count: int) -> None:
    for _ in range(count):
        await crm.poll()


@pytest.mark.parametrize("when", [SOON, IN_TWO_WEEKS], ids=["at once", "in two weeks"])
async def test_an_edit_of_what_closed_before_the_account_was_watched_hands_nobody_over(
    crm: Insightly, ledger: AsyncEngine, when: dict[str, Any]
) -> None:
    crm.rules = [Rule.model_validate(RULE | EVERYTHING | {"when": when})]
    await crm.poll()
    for kind, number in OLD:
        await crm.order("tag", object=kind, id=number, tag="Sommer")
    await polls(crm, PATIENCE + 1)
    assert await waiting(ledger) == []
    await crm.state(53, "CANCELLED", "Projects")
    await crm.state(33, "SUSPENDED")
    await crm.poll()
    assert await waiting(ledger) == ["opportunity/33", "project/53"]
    for kind, number in OLD:
        await crm.order("edit", object=kind, id=number)
    await polls(crm, PATIENCE + 1)
    assert await waiting(ledger) == ["opportunity/33", "project/53"]


async def test_an_edit_before_the_first_poll_makes_nothing_new_of_an_old_closing(
    crm: Insightly, ledger: AsyncEngine
) -> None:
    for kind, number in OLD:
        await crm.order("edit", object=kind, id=number)
    await polls(crm, PATIENCE + 1)
    assert await waiting(ledger) == []


async def test_what_closed_before_and_closes_again_is_handed_over(crm: Insightly, ledger: AsyncEngine) -> None:
    await crm.poll()
    for state, other in (("OPEN", "IN PROGRESS"), ("WON", "CANCELLED")):
        for number in (32, 34):
            await crm.state(number, state)
        await crm.state(51, other, "Projects")
        await crm.poll()
    assert await waiting(ledger) == ["opportunity/32", "opportunity/34", "project/51"]


async def test_a_win_whose_day_is_set_back_is_heard(crm: Insightly, ledger: AsyncEngine) -> None:
    """Its record looks like one that was won before the account was watched and edited now."""
    await crm.poll()
    await crm.state(33, "WON")
    crm.sandbox.world.insightly.find("Opportunity", 33).closed -= 20 * 86400  # type: ignore[union-attr,operator]
    await crm.poll()
    assert await waiting(ledger) == ["opportunity/33"]


async def test_a_cursor_of_before_knows_what_was_heard_and_takes_nothing_old_for_new(
    crm: Insightly, ledger: AsyncEngine
) -> None:
    await crm.poll()
    # As it was kept before it said since when the account is watched; the ledger knew no old closings either.
    older = "UPDATE handoff.cursors SET value = (value::jsonb - 'watched')::text WHERE source = 'insightly'"
    await change(ledger, older)
    await change(ledger, "DELETE FROM handoff.occasions")
    for kind, number in (one for one in OLD if one != ("Opportunities", 34)):
        await crm.order("edit", object=kind, id=number)
    await crm.state(33, "WON")
    await crm.state(53, "COMPLETED", "Projects")
    await polls(crm, PATIENCE + 1)
    assert await waiting(ledger) == ["opportunity/33", "project/53"]


async def test_the_sweep_takes_no_old_closing_for_a_new_one_either(crm: Insightly, ledger: AsyncEngine) -> None:
    async def sweep() -> None:
        source = crm.source(ledger)
        listing = await source.occasions(await _long_ago(ledger))
        await record(ledger, listing.occasions, crm.rules)
        await source.close()

    await edit(crm, 31, 32)
    await sweep()
    assert await rows(ledger, OCCASIONS) == [], "an account that was never polled has no past"
    await crm.poll()
    await edit(crm, 31, 32, 35)
    await edit(crm, 51, 52, kind="Projects")
    await sweep()
    await crm.poll()
    assert await waiting(ledger) == []


async def _long_ago(ledger: AsyncEngine) -> Any:
    [(moment,)] = await rows(ledger, "SELECT now() - interval '30 days'")
    return moment


async def test_what_the_sweep_reads_first_hides_no_second_win(crm: Insightly, ledger: AsyncEngine) -> None:
    await crm.poll()
    await crm.state(33, "WON")
    await crm.poll()
    await _won_again(crm, 33)
    source = crm.source(ledger)
    await record(ledger, (await source.occasions(await _long_ago(ledger))).occasions, crm.rules)
    await source.close()
    await crm.poll()
    assert await _closings(ledger, 33) == [("opportunity/33/1", True), ("opportunity/33/2", False)]


async def _won_again(crm: Insightly, *numbers: int) -> None:
    """Open opportunities and win them again; a history counts in seconds."""
    await asyncio.sleep(1.1)
    for state in ("OPEN", "WON"):
        for number in numbers:
            await crm.state(number, state)


async def _closings(ledger: AsyncEngine, number: int) -> list[tuple[str, bool]]:
    found = await rows(ledger, OCCASIONS)
    return [(key, cancelled) for key, cancelled, facts in found if facts["record"] == f"opportunity/{number}"]


@pytest.mark.parametrize(
    ("path", "kind", "error"),
    [
        ("/Opportunities/32/StateHistory", "429", RateLimited),
        ("/Opportunities/Search", "drop_before_commit", Transient),
        ("/Opportunities/Search", "html", Transient),
    ],
)
async def test_an_account_that_does_not_answer_moves_no_cursor(
    crm: Insightly, ledger: AsyncEngine, path: str, kind: str, error: type[Exception]
) -> None:
    await crm.poll()
    before = (await cursor_of(ledger))["since"]
    await edit(crm, 32)
    await crm.fault(path, kind)
    with pytest.raises(error):
        await crm.poll()
    assert (await cursor_of(ledger))["since"] == before


async def test_a_contact_that_the_user_may_not_see_is_explained_and_the_others_are_handed_over(
    crm: Insightly, ledger: AsyncEngine
) -> None:
    await crm.poll()
    await crm.order("link", id=33, contact=102)
    await crm.state(33, "WON")
    await crm.poll()
    await crm.fault("/Contacts/102")
    source = crm.source(ledger)
    assert await judge_due(ledger, crm.rules[0], source) == ["judged"]
    await source.close()
    verdicts = await rows(ledger, "SELECT ref, included, reason FROM handoff.verdicts ORDER BY ref")
    assert verdicts == [("101", True, "attached"), ("102", False, "unreadable")]


async def test_a_second_win_among_many_edits_is_heard_within_some_polls(crm: Insightly, ledger: AsyncEngine) -> None:
    await crm.order("generate", count=200)
    await crm.poll()
    numbers = await crm.open_ids(31)
    for number in numbers:
        await crm.state(number, "WON")
    await crm.poll()
    await _won_again(crm, numbers[15])
    await edit(crm, *numbers[:15], *numbers[16:])
    await crm.asked()
    found = await crm.poll()
    assert found["records"] == 31
    assert sum((await crm.asked()).values()) <= REQUESTS, "a poll is as cheap as before"
    await polls(crm, PATIENCE + 31 // AT_ONCE + 1)
    assert len(await _closings(ledger, numbers[15])) == 2
    assert (await cursor_of(ledger))["doubtful"] == []
    assert (await crm.asked())["/Opportunities/{id}/StateHistory"] == 30


async def test_doubts_do_not_pile_up_where_the_day_has_no_requests_for_them(
    crm: Insightly,
    ledger: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(insightly_doubts, "MOST", 10)
    crm.extra["requests_per_day"] = 1000
    await crm.order("generate", count=200)
    await crm.poll()
    numbers = await crm.open_ids(30)
    for number in numbers:
        await crm.state(number, "WON")
    await crm.poll()
    for _ in range(4):
        await asyncio.sleep(1.1)
        await edit(crm, *numbers)
        await crm.asked()
        await crm.poll()
        assert sum((await crm.asked()).values()) <= REQUESTS
        assert len((await cursor_of(ledger))["doubtful"]) <= 10
    assert "opportunities" in caplog.text + "".join(capsys.readouterr())
    assert await rows(ledger, "SELECT cause, kind FROM handoff.notices") == [("history/insightly_default", "history")]


async def test_an_edit_of_what_closed_long_ago_needs_no_history(crm: Insightly, ledger: AsyncEngine) -> None:
    await crm.poll()
    await edit(crm, 32, 35)
    await polls(crm, PATIENCE + 1)
    await crm.asked()
    await asyncio.sleep(1.1)
    await edit(crm, 32, 35)
    await crm.poll()
    assert "/Opportunities/{id}/StateHistory" not in await crm.asked(), "the day of its closing is as it was"


async def test_no_history_is_asked_where_no_rule_waits_for_the_state(crm: Insightly, ledger: AsyncEngine) -> None:
    crm.rules = [Rule.model_validate(RULE)]
    await crm.poll()
    await edit(crm, 31)
    await crm.asked()
    await polls(crm, PATIENCE + 1)
    assert "/Opportunities/{id}/StateHistory" not in await crm.asked()


async def test_a_worker_that_dies_before_the_cursor_moves_loses_and_doubles_nothing(
    crm: Insightly, ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await crm.poll()
    before = await cursor_of(ledger)
    await crm.state(33, "WON")
    await crm.state(53, "COMPLETED", "Projects")

    class Killed(BaseException):
        """Nothing that an operator would catch."""

    async def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(cursors, "write", dies)
        with pytest.raises(Killed):
            await crm.poll()
    assert await cursor_of(ledger) == before
    assert await waiting(ledger) == ["opportunity/33", "project/53"]
    recorded = await rows(ledger, OCCASIONS)
    await crm.poll()
    assert await rows(ledger, OCCASIONS) == recorded
    assert await waiting(ledger) == ["opportunity/33", "project/53"]
    assert (await cursor_of(ledger))["since"] != before["since"]


async def test_a_key_that_is_revoked_between_two_pages_moves_no_cursor(
    crm: Insightly, ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await crm.order("generate", count=1200)
    await crm.poll()
    before = await cursor_of(ledger)
    numbers = await crm.open_ids(500)
    for number in numbers[:3]:
        await crm.state(number, "WON")
    await crm.order("stamp", count=700)
    exchange, pages = AsyncTransport._exchange, list[str]()

    async def interrupted(transport: AsyncTransport, request: Request) -> Response:
        pages.append(request.query["skip"])
        if len(pages) == 2:
            await crm.order("key", key="another")
        return await exchange(transport, request)

    with monkeypatch.context() as patch:
        patch.setattr(AsyncTransport, "_exchange", interrupted)
        with pytest.raises(WrongCredentials):
            await crm.poll()
    assert pages == ["0", "499"]
    assert (await cursor_of(ledger))["since"] == before["since"]
    assert await waiting(ledger) == []
    await crm.order("key", key=INSIGHTLY_KEY)
    await crm.poll()
    assert await waiting(ledger) == sorted(f"opportunity/{number}" for number in numbers[:3])
