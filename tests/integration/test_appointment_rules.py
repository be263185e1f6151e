"""The rules of appointments that ship, from eTermin's stand-in to Quentn's: what the contact is like afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.rules.rule import Rule
from hooks.accounts import VENDORS
from sandbox.quentn.contact import Contact
from tests.support.delivery import desk_of, judge_due, states, work
from tests.support.etermin_world import EVA, OCCASIONS, SECRET, ETermin, receiving
from tests.support.rows import rows

pytestmark = pytest.mark.integration
RULES = ("appointment_booked", "appointment_changed", "appointment_cancelled")
ANCHORS = "SELECT anchors ->> 'start', anchors ->> 'end' FROM handoff.occasions WHERE key = 'a1'"
FIELDS = ("field_termin_beginn", "field_termin_ende")
TERM = "Termin gebucht"


async def no_wait() -> None:
    """Let every request go at once."""


@pytest.fixture
def rules(etermin: ETermin, project: Path) -> list[Rule]:
    """The rules as they ship, and no others."""
    texts = [(project / "include" / "handoffs" / f"{name}.yaml").read_text("utf-8") for name in RULES]
    return etermin.rules(*map(yaml.safe_load, texts))


async def judge(etermin: ETermin, rules: Iterable[Rule]) -> None:
    """Poll, and let each rule look at what is due."""
    await etermin.poll()
    source = await etermin.source()
    for one in rules:
        await judge_due(etermin.ledger, one, source)
    await source.close()


async def deliver(etermin: ETermin, rules: Iterable[Rule]) -> None:
    """Let a worker of each rule carry out what is planned."""
    target = VENDORS["quentn"].from_connection("quentn_default", etermin.quentn(), no_wait)
    for one in rules:
        await work(etermin.ledger, one, desk_of(etermin.ledger, {"quentn_default": target}))
    await target.close()


async def hand_over(etermin: ETermin, rules: Iterable[Rule]) -> None:
    """Poll, judge and deliver."""
    await judge(etermin, rules)
    await deliver(etermin, rules)


def eva(etermin: ETermin) -> Contact:
    """Return the one contact with her address."""
    [found] = etermin.sandbox.world.quentn.with_mail(EVA["email"])
    return found


def terms(etermin: ETermin) -> list[str]:
    """Return the names of her terms."""
    account = etermin.sandbox.world.quentn
    return [account.terms[number].name for number in eva(etermin).terms]


def dates(etermin: ETermin) -> list[datetime | None]:
    """Return start and end as Quentn has them, on the clock of the account."""
    kept: list[Any] = [eva(etermin).fields.get(name, "") for name in FIELDS]
    return [datetime.fromisoformat(one).replace(tzinfo=ZoneInfo("Europe/Berlin")) if one else None for one in kept]


async def anchors(ledger: AsyncEngine) -> list[datetime]:
    """Return start and end of the appointment as the ledger has them."""
    [found] = await rows(ledger, ANCHORS)
    return [datetime.fromisoformat(one) for one in found]


async def test_the_remarks_of_an_appointment_stand_once_however_often_it_changes(
    etermin: ETermin, ledger: AsyncEngine, rules: list[Rule]
) -> None:
    await etermin.book(notes="Bitte klingeln")
    await hand_over(etermin, rules)
    eva(etermin).fields["comment"] += "\n\nRuft gern an."
    for notes in ("Bitte nicht klingeln", "Kaffee, bitte"):
        await etermin.order("edit", uid="a1", fields={"notes": notes})
        await hand_over(etermin, rules)
    notes = eva(etermin).fields["comment"]
    assert (notes.count("[handoff "), notes.count("Kaffee, bitte")) == (1, 1)
    assert "klingeln" not in notes
    assert notes.endswith("Ruft gern an.")


async def test_each_appointment_has_its_own_remarks(etermin: ETermin, rules: list[Rule]) -> None:
    await etermin.book("a1", notes="Bitte klingeln")
    await etermin.book("a2", notes="Kaffee, bitte")
    await hand_over(etermin, rules)
    await etermin.order("edit", uid="a1", fields={"notes": "Bitte klopfen"})
    await hand_over(etermin, rules)
    notes = eva(etermin).fields["comment"]
    assert notes.count("[handoff ") == 2
    assert [word in notes for word in ("klingeln", "klopfen", "Kaffee")] == [False, True, True]


async def test_the_shipped_rules_follow_a_booking_a_move_and_a_cancellation(
    etermin: ETermin, ledger: AsyncEngine, rules: list[Rule]
) -> None:
    await etermin.book()
    await hand_over(etermin, rules)
    booked = dates(etermin)
    assert (booked, terms(etermin)) == (await anchors(ledger), [TERM])
    await etermin.order("move", uid="a1", start="+5d", minutes=45)
    await hand_over(etermin, rules)
    assert (dates(etermin), terms(etermin)) == (await anchors(ledger), [TERM])
    assert dates(etermin) != booked
    await etermin.order("cancel", uid="a1")
    await hand_over(etermin, rules)
    assert (dates(etermin), terms(etermin)) == ([None, None], [])
    assert EVA["notes"] in eva(etermin).fields["comment"]
    assert await states(ledger) == {"confirmed": 5}


async def test_a_booking_that_was_pushed_and_moved_before_the_next_poll_is_followed_too(
    etermin: ETermin, ledger: AsyncEngine, rules: list[Rule]
) -> None:
    async with receiving() as url:
        await etermin.order("push", url=url, header="X-Webhook-Secret", header_value=SECRET)
        await etermin.book()
        await etermin.until_pushed(1)
        await etermin.order("move", uid="a1", start="+5d")
        await etermin.until_pushed(2)
        await hand_over(etermin, rules)
    assert await rows(ledger, OCCASIONS) == [("a1", False), ("a1/modified/1", False)]
    assert (dates(etermin), terms(etermin)) == (await anchors(ledger), [TERM])
    assert await states(ledger) == {"confirmed": 3}


async def test_a_change_that_rested_goes_before_the_cancellation_that_followed(
    etermin: ETermin, rules: list[Rule]
) -> None:
    await etermin.book()
    await hand_over(etermin, rules)
    await etermin.order("move", uid="a1", start="+5d")
    await judge(etermin, rules)
    await etermin.order("cancel", uid="a1")
    await judge(etermin, rules)
    await deliver(etermin, reversed(rules))
    assert (dates(etermin), terms(etermin)) == ([None, None], [])


async def test_a_cancellation_puts_nobody_into_quentn(etermin: ETermin, ledger: AsyncEngine, rules: list[Rule]) -> None:
    account = etermin.sandbox.world.quentn
    account.put_term(TERM)
    await etermin.book(booked="-1d")
    await hand_over(etermin, rules)
    assert account.with_mail(EVA["email"]) == [], "known for longer than the rules"
    await etermin.order("cancel", uid="a1")
    await hand_over(etermin, rules)
    assert account.with_mail(EVA["email"]) == []
    assert await states(ledger) == {"confirmed": 2}
