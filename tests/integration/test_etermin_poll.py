"""eTermin's stand-in, polled over real HTTP into a real ledger: what happens to appointments, and to what waits."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import WrongCredentials
from hooks.accounts import VENDORS
from tests.support.delivery import desk_of, judge_due, states, work
from tests.support.etermin_world import BATCHES, OCCASIONS, ETermin, rule
from tests.support.rows import rows

pytestmark = pytest.mark.integration
ANCHORS = "SELECT key, anchors ->> 'start' FROM handoff.occasions WHERE key = 'a1'"
VERDICTS = "SELECT included, reason FROM handoff.verdicts ORDER BY id"


async def judged(etermin: ETermin, *given: dict[str, Any]) -> list[str]:
    """Have these rules look at what is due."""
    source = await etermin.source()
    try:
        return [became for one in etermin.rules(*given) for became in await judge_due(etermin.ledger, one, source)]
    finally:
        await source.close()


async def test_a_booking_is_one_occasion_and_what_is_known_is_no_news(etermin: ETermin, ledger: AsyncEngine) -> None:
    await etermin.poll()
    await etermin.book()
    found = await etermin.poll()
    assert (found["appointments"], found["new"]) == (1, 2)
    assert (await etermin.poll())["events"] == 0
    assert await rows(ledger, OCCASIONS) == [("a1", False)]
    assert await rows(ledger, BATCHES) == [("booked", "a1", "waiting"), ("reminder", "a1", "waiting")]
    everything = str([await rows(ledger, f"SELECT * FROM handoff.{table}") for table in ("occasions", "inbox")])
    assert not [word for word in ("eva@", "Möller", "klingeln") if word in everything]


async def test_a_move_moves_what_waits_and_is_told_once(etermin: ETermin, ledger: AsyncEngine) -> None:
    await etermin.book()
    await etermin.poll()
    before = await rows(ledger, ANCHORS)
    [(due,)] = await rows(ledger, "SELECT due_at FROM handoff.batches WHERE rule_id = 'reminder'")
    await etermin.order("move", uid="a1", start="+5d")
    assert (await etermin.poll())["moved"] == 1
    await etermin.poll()
    assert await rows(ledger, ANCHORS) != before
    [(moved,)] = await rows(ledger, "SELECT due_at FROM handoff.batches WHERE rule_id = 'reminder'")
    assert moved > due
    assert await rows(ledger, OCCASIONS) == [("a1", False), ("a1/modified/1", False)]
    assert await rows(ledger, BATCHES) == [
        ("booked", "a1", "waiting"), ("reminder", "a1", "waiting"), ("modified", "a1/modified/1", "waiting"),
    ]  # fmt: skip


async def test_a_cancellation_ends_what_waits_and_is_told_once(etermin: ETermin, ledger: AsyncEngine) -> None:
    await etermin.book()
    await etermin.poll()
    await etermin.order("cancel", uid="a1")
    for _ in range(2):
        await etermin.poll()
    assert await rows(ledger, OCCASIONS) == [("a1", True), ("a1/deleted/1", False)]
    assert await rows(ledger, BATCHES) == [
        ("booked", "a1", "cancelled"), ("reminder", "a1", "cancelled"), ("deleted", "a1/deleted/1", "waiting"),
    ]  # fmt: skip
    assert await judged(etermin, rule("deleted", {"minutes": 0, "after": "deleted"})) == ["judged"]
    assert await rows(ledger, VERDICTS) == [(True, "customer")]


async def test_the_deletion_of_what_was_never_seen_is_told_to_nobody(etermin: ETermin, ledger: AsyncEngine) -> None:
    await etermin.poll()
    await etermin.book()
    await etermin.order("cancel", uid="a1")
    for _ in range(2):
        await etermin.poll()
    assert {row[1] for row in await rows(ledger, OCCASIONS)} <= {True}, "only a tombstone"
    assert await rows(ledger, BATCHES) == []


async def test_deleted_after_the_poll_it_is_seen_at_the_last_look(etermin: ETermin, ledger: AsyncEngine) -> None:
    await etermin.book()
    await etermin.poll()
    await etermin.order("cancel", uid="a1")
    assert await judged(etermin, rule("booked", {"minutes": 0, "after": "booked"})) == ["cancelled"]
    assert await rows(ledger, "SELECT count(*) FROM handoff.effects") == [(0,)]


async def test_a_booking_of_a_calendar_made_later_and_one_that_is_not_selected(
    etermin: ETermin, ledger: AsyncEngine
) -> None:
    booked = {"minutes": 0, "after": "booked"}
    etermin.rules(rule("all", booked), rule("coaching", booked, calendars=["coaching"]))
    await etermin.poll()
    await etermin.order("calendar", name="Neu", services=[])
    await etermin.book("a1", calendar="Neu", service="")
    await etermin.book("a2", calendar="Coaching", service="")
    await etermin.poll()
    planned = {row[:2] for row in await rows(ledger, BATCHES)}
    assert planned == {("all", "a1"), ("all", "a2"), ("coaching", "a2")}


async def test_a_rule_that_is_added_waits_for_what_is_known(etermin: ETermin, ledger: AsyncEngine) -> None:
    etermin.rules()
    await etermin.book()
    await etermin.poll()
    etermin.rules(rule("reminder", {"hours": 1, "before": "start"}))
    assert (await etermin.poll())["new"] == 1
    assert await rows(ledger, BATCHES) == [("reminder", "a1", "waiting")]


async def test_the_newsletter_box_counts_as_its_contact_says(etermin: ETermin, ledger: AsyncEngine) -> None:
    asking = rule("booked", {"minutes": 0, "after": "booked"}, newsletter_only=True)
    etermin.rules(asking)
    await etermin.book("a1", newsletter=True)
    await etermin.book("a2", email="bert@example.org", newsletter=False)
    await etermin.poll()
    assert await judged(etermin, asking) == ["judged", "judged"]
    assert sorted(await rows(ledger, VERDICTS)) == [(False, "no_newsletter"), (True, "customer")]


@pytest.mark.parametrize("notes", ["Bitte klingeln, Tür 3", ""])
async def test_the_shipped_rule_takes_the_customer_to_quentn(
    etermin: ETermin, ledger: AsyncEngine, project: Path, notes: str
) -> None:
    shipped = yaml.safe_load((project / "include" / "handoffs" / "appointment_booked.yaml").read_text())
    [booked] = etermin.rules(shipped)
    await etermin.book(notes=notes)
    await etermin.poll()
    assert await judged(etermin, shipped) == ["judged"]
    target = VENDORS["quentn"].from_connection("quentn_default", etermin.quentn(), no_wait)
    await work(ledger, booked, desk_of(ledger, {"quentn_default": target}))
    await target.close()
    assert await states(ledger) == {"confirmed": 2}
    done = etermin.sandbox.effects.since(system="quentn")
    assert {one.contact for one in done if one.action != "create_tag"} == {"eva@example.org"}
    written = {name: value for one in done for name, value in one.detail.get("fields", {}).items()}
    told = {one.detail["field"] for one in done if one.action == "field"}
    assert told == {"field_termin_beginn", "field_termin_ende"}
    assert ("Bitte klingeln, Tür 3" in str(written)) == bool(notes)
    assert [one.detail["tag"] for one in done if one.action == "tag"] == ["Termin gebucht"]


async def test_the_city_of_a_booking_is_the_town_of_the_entry(etermin: ETermin, ledger: AsyncEngine) -> None:
    step = {"step": "quentn.contact", "notes": "aus {{ entry.town | default('?') }}"}
    given = rule("booked", {"minutes": 0, "after": "booked"}, steps=[step])
    [booked] = etermin.rules(given)
    await etermin.book(city="Bern")
    await etermin.poll()
    assert await judged(etermin, given) == ["judged"]
    target = VENDORS["quentn"].from_connection("quentn_default", etermin.quentn(), no_wait)
    await work(ledger, booked, desk_of(ledger, {"quentn_default": target}))
    await target.close()
    assert "aus Bern" in str([one.detail for one in etermin.sandbox.effects.since(system="quentn")])
    assert "Bern" not in str([await rows(ledger, f"SELECT * FROM handoff.{table}") for table in ("occasions", "inbox")])


async def no_wait() -> None:
    """Let every request go at once."""


async def test_a_poll_that_fails_loses_nothing_and_is_not_repeated_without_a_pause(
    etermin: ETermin, ledger: AsyncEngine
) -> None:
    await etermin.poll()
    await etermin.book()
    etermin.account(private="revoked")
    with pytest.raises(WrongCredentials):
        await etermin.poll()
    assert (await etermin.planned())["at"] > datetime.now(UTC).timestamp() + 200
    etermin.account()
    await etermin.poll()
    assert await rows(ledger, OCCASIONS) == [("a1", False)]


async def test_the_next_poll_is_five_minutes_later_or_as_the_connection_says(etermin: ETermin) -> None:
    assert (await etermin.planned())["at"] == 0, "at once, when it was never polled"
    await etermin.poll()
    now = datetime.now(UTC).timestamp()
    assert (await etermin.planned())["at"] == pytest.approx(now + 300, abs=30)
    etermin.account(poll_minutes=1)
    assert (await etermin.planned())["at"] == pytest.approx(now + 60, abs=30)
    etermin.account(requests_per_day=100)
    assert (await etermin.planned())["at"] > now + 1500, "a hundred requests have to last for the day"
