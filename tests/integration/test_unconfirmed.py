"""Appointments that the provider has to confirm: rules that wait for that, and rules that do not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.commands import handoff
from tests.support.delivery import judge_due
from tests.support.etermin_world import EVA, OCCASIONS, ETermin, rule
from tests.support.rows import change, rows

pytestmark = pytest.mark.integration
WHENS: dict[str, dict[str, Any]] = {
    "booked": {"minutes": 0, "after": "booked"}, "reminder": {"hours": 1, "before": "start"},
    "modified": {"minutes": 0, "after": "modified"}, "deleted": {"minutes": 0, "after": "deleted"},
}  # fmt: skip
WAITING = tuple(rule(name, when, confirmed_only=True) for name, when in WHENS.items())
PLANNED = """
    SELECT batch.rule_id, batch.state, batch.reason FROM handoff.batches AS batch
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id ORDER BY batch.rule_id
"""
NOTHING: list[tuple[str, str, str]] = []
BOTH = [("booked", "waiting", ""), ("reminder", "waiting", "")]


async def request(etermin: ETermin, **more: Any) -> None:
    """Let somebody ask for an appointment that has to be confirmed, and poll."""
    await etermin.book(**more)
    await say(etermin, False)


async def say(etermin: ETermin, confirmed: bool) -> None:
    """Let the provider say whether the appointment takes place, and poll."""
    etermin.sandbox.world.etermin.appointments["a1"].confirmed = confirmed
    await etermin.order("edit", uid="a1", fields={})
    await etermin.poll()


async def judged(etermin: ETermin, *given: dict[str, Any]) -> list[str]:
    source = await etermin.source()
    found = [became for one in etermin.rules(*given) for became in await judge_due(etermin.ledger, one, source)]
    await source.close()
    return found


async def test_without_the_option_an_unconfirmed_appointment_counts_like_any_other(
    etermin: ETermin, ledger: AsyncEngine
) -> None:
    await request(etermin)
    assert await rows(ledger, PLANNED) == BOTH
    await say(etermin, True)
    assert await rows(ledger, OCCASIONS) == [("a1", False), ("a1/modified/1", False)]
    assert await rows(ledger, PLANNED) == [BOTH[0], ("modified", "waiting", ""), BOTH[1]]


async def test_a_rule_that_waits_for_the_confirmation_fires_with_it(etermin: ETermin, ledger: AsyncEngine) -> None:
    etermin.rules(*WAITING)
    await request(etermin)
    assert await rows(ledger, PLANNED) == NOTHING
    await etermin.order("move", uid="a1", start="+3d")
    await etermin.poll()
    assert await rows(ledger, PLANNED) == NOTHING, "nobody was told of it, so nobody is told of its change"
    await say(etermin, True)
    assert await rows(ledger, PLANNED) == BOTH, "and its confirmation is no change"
    assert await judged(etermin, WAITING[0]) == ["judged"]
    etermin.rules(*WAITING)
    await etermin.order("move", uid="a1", start="+4d")
    await etermin.poll()
    [_, modified, _] = await rows(ledger, PLANNED)
    assert modified == ("modified", "waiting", "")


@pytest.mark.parametrize("days", [2, 12])
async def test_a_confirmation_days_after_the_booking_is_not_late(
    etermin: ETermin, ledger: AsyncEngine, days: int
) -> None:
    etermin.rules(*WAITING)
    await request(etermin)
    booked = f"jsonb_build_object('booked', now() - interval '{days} days')"
    await change(ledger, f"UPDATE handoff.occasions SET anchors = anchors || {booked}")
    await change(ledger, "UPDATE handoff.rule_versions SET created_at = created_at - :by", by=timedelta(days=days + 1))
    await say(etermin, True)
    assert await rows(ledger, PLANNED) == BOTH
    [(late,)] = await rows(ledger, "SELECT now() - due_at FROM handoff.batches WHERE rule_id = 'booked'")
    assert late < timedelta(minutes=5)
    assert await judged(etermin, WAITING[0]) == ["judged"]


async def test_a_reminder_whose_moment_passed_before_the_confirmation_was_never_due(
    etermin: ETermin, ledger: AsyncEngine
) -> None:
    week_before = rule("reminder", {"days": 7, "before": "start"}, confirmed_only=True)
    etermin.rules(week_before)
    await request(etermin)
    booked = "jsonb_build_object('booked', now() - interval '12 days')"
    await change(ledger, f"UPDATE handoff.occasions SET anchors = anchors || {booked}")
    await change(ledger, "UPDATE handoff.rule_versions SET created_at = created_at - interval '13 days'")
    await say(etermin, True)
    assert await rows(ledger, PLANNED) == [("reminder", "missed", "past_when_first_seen")]


async def test_what_was_never_confirmed_is_deleted_for_nobody(etermin: ETermin, ledger: AsyncEngine) -> None:
    etermin.rules(*WAITING)
    await request(etermin)
    await etermin.order("cancel", uid="a1")
    await etermin.poll()
    assert await rows(ledger, PLANNED) == NOTHING


async def test_a_last_look_that_finds_it_unconfirmed_hands_over_nobody(etermin: ETermin, ledger: AsyncEngine) -> None:
    etermin.rules(WAITING[0])
    await etermin.book()
    await etermin.poll()
    etermin.sandbox.world.etermin.appointments["a1"].confirmed = False
    assert await judged(etermin, WAITING[0]) == ["cancelled"]
    assert await rows(ledger, PLANNED) == [("booked", "cancelled", "no_longer_selected")]


async def test_explain_names_the_rules_that_wait_for_the_confirmation(
    etermin: ETermin, ledger: AsyncEngine, ledger_url: str
) -> None:
    mail = rule("mail", WHENS["booked"])
    elsewhere = rule("elsewhere", WHENS["booked"], confirmed_only=True, calendars=["Coaching"])
    etermin.rules(mail, elsewhere, *WAITING)
    await request(etermin)
    assert await judged(etermin, mail) == ["judged"]
    said = await handoff(ledger_url, "explain", EVA["email"], "--json")
    assert [(one["rule"], one["occasion"]) for one in said.json["awaited"]] == [("booked", "a1"), ("reminder", "a1")]
    words = (await handoff(ledger_url, "explain", EVA["email"])).out
    assert "booked waits until Erstgespräch (etermin a1) is confirmed by the provider" in words
    etermin.rules(mail, elsewhere, *WAITING)
    await say(etermin, True)
    assert (await handoff(ledger_url, "explain", EVA["email"], "--json")).json["awaited"] == []
