"""A rule run by hand: one contact of the form, or what is due now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.planning.planner import record
from handoff.rules.rule import Rule
from operators import gather
from tests.support.chaos import tags
from tests.support.delivery import states
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import rows
from tests.support.targets import MemoryTarget
from tests.support.tasks import Vendors, context_of, run_dag

# Neither its audience nor its moment would let anybody through.
RULE = a_rule(who="attended", when={"days": 30, "before": "start"}, steps=tags("eins", "zwei"))
MINE: dict[str, Any] = {"mode": "one_contact", "email": " Ich@Meine-Firma.example.org ", "first_name": "Jörg"}


@pytest.fixture
def target() -> MemoryTarget:
    return MemoryTarget()


@pytest.fixture
def vendors(monkeypatch: pytest.MonkeyPatch, ledger_url: str, target: MemoryTarget) -> Vendors:
    return Vendors(monkeypatch, ledger_url, target, None)


async def test_the_contact_of_the_form_gets_every_step_at_once(
    ledger: AsyncEngine, vendors: Vendors, target: MemoryTarget
) -> None:
    [certificate] = await run_dag(RULE, **MINE)
    assert [email for email, _ in target.effects] == ["ich@meine-firma.example.org"] * 2
    assert (certificate["listed"], certificate["handled"], certificate["pending"]) == (1, 1, 0)
    assert await states(ledger) == {"confirmed": 2}


async def test_a_repeated_task_of_the_same_run_changes_nothing_and_another_run_goes_out_again(
    ledger: AsyncEngine, vendors: Vendors, target: MemoryTarget
) -> None:
    for run_id, effects in (("run-1", 2), ("run-1", 2), ("run-2", 4)):
        await run_dag(RULE, run_id, **MINE)
        assert len(target.effects) == effects
    assert len({key for _, key in target.effects}) == 4


async def test_the_occasion_of_the_form(ledger: AsyncEngine, vendors: Vendors) -> None:
    given: dict[str, Any] = {"occasion_title": "Mein Webinar", "occasion_start": "2026-03-24T19:00:00+01:00"}
    await run_dag(RULE, **MINE, **given)
    [(title, anchors)] = await rows(ledger, "SELECT title, anchors FROM handoff.occasions")
    assert title == "Mein Webinar"
    assert datetime.fromisoformat(anchors["start"]) == datetime(2026, 3, 24, 18, tzinfo=UTC)
    assert abs(datetime.fromisoformat(anchors["end"]) - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"email": None, "first_name": None}, "nobody is named; fill in"),
        ({"email": "  "}, "a name stands there without 'E-mail"),
        ({"email": None, "recipients": "ich@example.org"}, "a name stands there without 'E-mail"),
        ({"email": "ich@@"}, "invalid_email"),
        ({"recipients": "du@example.org\nich@@"}, "line 2 of the recipients"),
        ({"occasion_start": "morgen"}, "occasion_start in the form is no date and time"),
        ({"occasion_end": "2026-03-24T19:00:00"}, "occasion_end in the form has no time zone"),
        (
            {"occasion_start": "2026-03-24T19:00:00+01:00", "occasion_end": "2026-03-24T18:30:00+01:00"},
            "occasion_end in the form is before occasion_start in the form",
        ),
    ],
)
async def test_a_form_that_cannot_be_used_is_an_error_without_a_retry(
    ledger: AsyncEngine, vendors: Vendors, target: MemoryTarget, form: dict[str, Any], words: str
) -> None:
    with pytest.raises(AirflowFailException, match=words) as caught:
        await run_dag(RULE, **(MINE | form))
    assert "ich@" not in str(caught.value)
    assert target.effects == []
    assert await rows(ledger, "SELECT count(*) FROM handoff.batches") == [(0,)]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"email": "ich@example.org"}, "E-mail (E-Mail-Adresse)"),
        ({"recipients": "Ich <ich@example.org>"}, "More recipients (weitere Empfänger)"),
        ({"first_name": "Eva", "last_name": "Muster"}, "First name (Vorname), Last name (Nachname)"),
        ({"language": "en"}, "Language (Sprache)"),
        ({"occasion_title": "Mein Webinar"}, "Title (Titel)"),
        ({"occasion_end": "2026-03-24T19:00:00+01:00"}, "End (Ende)"),
        ({"mode": "reset", "email": "ich@example.org", "occasion_title": "Mein Webinar"}, "Title (Titel)"),
        ({"reset": True}, "no field 'reset'"),
        ({"emial": "ich@example.org"}, "no field 'emial'; did you mean 'email'?"),
        ({"ich@example.org": "email"}, "no field of that name"),
    ],
)
async def test_what_was_filled_in_is_never_ignored(
    ledger: AsyncEngine, vendors: Vendors, target: MemoryTarget, given: dict[str, Any], named: str
) -> None:
    waiting = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    await record(ledger, [waiting], [a_rule(steps=tags("eins"))])
    with pytest.raises(AirflowFailException, match=f"nothing was done: .*{re.escape(named)}") as caught:
        await run_dag(a_rule(steps=tags("eins")), **given)
    assert "ich@" not in str(caught.value)
    assert target.effects == []
    assert await rows(ledger, "SELECT state FROM handoff.batches") == [("waiting",)]
    assert await rows(ledger, "SELECT count(*) FROM handoff.resets") == [(0,)]


async def test_spaces_and_the_form_s_own_values_are_not_filled_in(ledger: AsyncEngine, vendors: Vendors) -> None:
    form: dict[str, Any] = {"email": " ", "recipients": "\n", "language": "de", "occasion_title": " Test"}
    assert await run_dag(RULE, mode="due_now", **form) == []


async def test_an_address_that_stands_there_twice_is_one_contact(
    ledger: AsyncEngine, vendors: Vendors, target: MemoryTarget
) -> None:
    [certificate] = await run_dag(RULE, **MINE, recipients="Du <du@example.org>\nIch <ich@meine-firma.example.org>")
    assert (certificate["listed"], certificate["handled"], certificate["excluded"]) == (2, 2, {})
    assert {email for email, _ in target.effects} == {"ich@meine-firma.example.org", "du@example.org"}
    assert ("Jörg",) in await rows(ledger, "SELECT first_name FROM handoff.contacts")


async def test_what_is_due_now_is_handed_over(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch, ledger_url: str, target: MemoryTarget
) -> None:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(20, before=occasion.anchors["start"]))
    vendors = Vendors(monkeypatch, ledger_url, target, source)
    rule = a_rule(steps=tags("eins", "zwei"))
    await record(ledger, [occasion, an_occasion(start=datetime.now(UTC) + timedelta(days=1), key="later")], [rule])
    [certificate] = await run_dag(rule)
    assert (certificate["listed"], certificate["handled"], certificate["effects"]) == (20, 20, {"confirmed": 40})
    assert await rows(ledger, "SELECT state FROM handoff.batches ORDER BY due_at") == [("judged",), ("waiting",)]
    assert set(vendors.opened) == {"klicktipp_default"}
    assert await run_dag(rule, "run-2") == []
    assert len(target.effects) == 40


async def test_a_list_for_many_shards(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch, ledger_url: str, target: MemoryTarget
) -> None:
    monkeypatch.setattr(gather, "CONTACTS_A_SHARD", 10)
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(400, before=occasion.anchors["start"]))
    Vendors(monkeypatch, ledger_url, target, source)
    rule = a_rule()
    await record(ledger, [occasion], [rule])
    spec = rule.model_dump(mode="json")
    assert await gather.GatherOperator(task_id="gather", rule=spec).aexecute(context_of(rule)) == list(range(16))


def other_group(rule: Rule) -> Rule:
    return a_rule(**{**rule.model_dump(mode="json"), "order_group": "somewhere_else"})


async def test_a_rule_whose_order_group_was_changed_loses_nobody(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch, ledger_url: str, target: MemoryTarget
) -> None:
    """What was planned before the file changed goes out after it, in the lanes it was planned for."""
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(5, before=occasion.anchors["start"]))
    Vendors(monkeypatch, ledger_url, target, source)
    rule = a_rule()
    await record(ledger, [occasion], [rule])
    [certificate] = await run_dag(other_group(rule))
    assert (certificate["handled"], certificate["pending"]) == (5, 0)
    assert len(target.effects) == 5
