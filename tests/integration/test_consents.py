"""Consent at the moment of sending, in the ledger: who said no gets nothing, and why is said."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.consent import Subject
from handoff.contact import Contact
from handoff.errors import Transient
from handoff.ledger import consents, retention, suppressions
from handoff.ledger.consents import Entry
from handoff.ledger.erasure import erase
from handoff.ledger.unsubscribing import unsubscribe
from handoff.rules.rule import Rule
from handoff.target import Call
from tests.support.commands import handoff
from tests.support.delivery import desk_of, judge_due, plan, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import rows
from tests.support.targets import MemoryTarget

UNTAG = {"step": "klicktipp.untag", "tag": "befragt"}
MAIL = {"step": "email", "template": "webinar_attended"}
CONSENT = {"purpose": "marketing", "legal_basis": "consent"}
CUSTOMER = {"purpose": "marketing", "legal_basis": "existing_customer"}
WORDING = ("--wording", "Ich willige ein.", "--source", "form")
REASONS = """
    SELECT contact.email, effect.step, effect.state, effect.reason FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id ORDER BY contact.email, effect.step_no
"""
LOG = "SELECT what, purpose, channel, source, effect_id FROM handoff.consents ORDER BY at, id"


def person(number: int) -> str:
    return f"person{number}@example.org"


def key(number: int = 0) -> str:
    return Contact(person(number)).key


async def say(ledger: AsyncEngine, number: int, what: str, purpose: str = "marketing", channel: str = "email") -> None:
    entry = Entry(Subject(key(number), channel, purpose), what, datetime.now(UTC), "Ich willige ein.", "test")
    async with ledger.begin() as connection:
        assert await consents.add(connection, [entry]) == 1


async def suppress(ledger: AsyncEngine, number: int, channel: str, reason: str) -> None:
    async with ledger.begin() as connection:
        await suppressions.add(connection, key(number), channel, reason, "test")


async def judged(ledger: AsyncEngine, rule: Rule, people: int) -> None:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), minutes=60)
    source = FixedSource(occasion, some_registrations(people, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    assert await judge_due(ledger, rule, source) == ["judged"]


def targets(**faults: Any) -> dict[str, MemoryTarget]:
    return {"klicktipp_default": MemoryTarget(), "smtp_default": MemoryTarget(readable=False, **faults)}


async def delivered(ledger: AsyncEngine, rule: Rule, **faults: Any) -> dict[str, MemoryTarget]:
    accounts = targets(**faults)
    await work(ledger, rule, desk_of(ledger, dict(accounts)))
    return accounts


async def mails(ledger: AsyncEngine) -> list[tuple[str, str]]:
    return [(state, reason) for _, step, state, reason in await rows(ledger, REASONS) if step == "email"]


async def test_by_consent_only_who_agreed_to_this_by_this_channel_is_written_to(ledger: AsyncEngine) -> None:
    rule = a_rule(steps=[UNTAG, MAIL], **CONSENT)
    await judged(ledger, rule, 7)
    await say(ledger, 0, "granted")
    await say(ledger, 2, "granted", purpose="survey")
    await say(ledger, 3, "confirmed", channel="sms")
    for what in ("granted", "withdrawn"):
        await say(ledger, 4, what)
    for what in ("withdrawn", "granted"):
        await say(ledger, 5, what)
    await say(ledger, 6, "confirmed")
    await suppress(ledger, 6, "all", "complaint")
    accounts = await delivered(ledger, rule)
    assert sorted(email for email, _ in accounts["smtp_default"].effects) == [person(0), person(5)]
    assert await mails(ledger) == [
        ("confirmed", ""), ("skipped", "no_consent"), ("skipped", "no_consent"), ("skipped", "no_consent"),
        ("skipped", "consent_withdrawn"), ("confirmed", ""), ("skipped", "suppressed"),
    ]  # fmt: skip
    assert len(accounts["klicktipp_default"].effects) == 7


async def test_existing_customers_need_the_notice_and_no_objection(ledger: AsyncEngine) -> None:
    rule = a_rule(steps=[MAIL], **CUSTOMER)
    await judged(ledger, rule, 4)
    for number in (0, 2, 3):
        await say(ledger, number, "notice_given")
    await say(ledger, 2, "objected")
    async with ledger.begin() as connection:
        assert await unsubscribe(connection, key(3), "marketing", "test")
    await delivered(ledger, rule)
    assert await mails(ledger) == [
        ("confirmed", ""), ("skipped", "no_objection_notice"), ("skipped", "objected"), ("skipped", "unsubscribed"),
    ]  # fmt: skip


async def test_service_asks_nothing(ledger: AsyncEngine) -> None:
    asked: list[str] = []

    def note(_: Any, __: Any, statement: str, *rest: Any) -> None:
        asked.append(statement)

    rule = a_rule(steps=[UNTAG, MAIL])
    await judged(ledger, rule, 3)
    await suppress(ledger, 0, "all", "objection")
    event.listen(ledger.sync_engine, "before_cursor_execute", note)
    await delivered(ledger, rule)
    assert await states(ledger) == {"confirmed": 6}
    assert asked
    assert not [statement for statement in asked if "consents" in statement or "suppressions" in statement]


async def test_many_are_asked_for_in_few_queries(ledger: AsyncEngine) -> None:
    asked: list[str] = []

    def note(_: Any, __: Any, statement: str, *rest: Any) -> None:
        asked.append(statement)

    rule = a_rule(steps=[MAIL], **CONSENT)
    await judged(ledger, rule, 200)
    for number in range(100):
        await say(ledger, number, "granted")
    event.listen(ledger.sync_engine, "before_cursor_execute", note)
    await delivered(ledger, rule)
    assert await states(ledger) == {"confirmed": 100, "skipped": 100}
    assert len([statement for statement in asked if "FROM handoff.suppressions" in statement]) <= 50


async def test_a_withdrawal_bites_between_two_effects(ledger: AsyncEngine) -> None:
    """Judged with a consent; taken back while the step before the mail is on its way."""
    rule = a_rule(steps=[UNTAG, MAIL], **CONSENT)
    await judged(ledger, rule, 2)
    for number in (0, 1):
        await say(ledger, number, "confirmed")
    going, gone_on = asyncio.Event(), asyncio.Event()

    class Slow(MemoryTarget):
        async def send(self, call: Call) -> Any:
            if call.contact.email == person(0):
                going.set()
                await gone_on.wait()
            return await super().send(call)

    accounts = targets() | {"klicktipp_default": Slow()}
    working = asyncio.create_task(work(ledger, rule, desk_of(ledger, dict(accounts))))
    await asyncio.wait_for(going.wait(), 60)
    await say(ledger, 0, "withdrawn")
    gone_on.set()
    await asyncio.wait_for(working, 60)
    assert await mails(ledger) == [("skipped", "consent_withdrawn"), ("confirmed", "")]
    assert [email for email, _ in accounts["smtp_default"].effects] == [person(1)]


async def test_what_waited_for_its_turn_is_asked_about_again(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = a_rule(steps=[MAIL], **CONSENT)
    await judged(ledger, rule, 1)
    await say(ledger, 0, "granted")
    accounts = targets()
    desk = desk_of(ledger, dict(accounts))
    await desk.target("smtp_default", "email")
    limiter = desk.limiter("smtp_default")

    async def long_in_coming() -> None:
        await say(ledger, 0, "withdrawn")
        monkeypatch.setattr("handoff.delivery.lane_run.SHORT_SECONDS", -1.0)

    monkeypatch.setattr(limiter, "reserve", long_in_coming)
    await work(ledger, rule, desk)
    assert await mails(ledger) == [("skipped", "consent_withdrawn")]
    assert accounts["smtp_default"].effects == []


async def test_a_use_is_noted_once_however_often_it_is_tried(ledger: AsyncEngine) -> None:
    failures = [Transient("smtp_default", "test")]
    rule = a_rule(steps=[MAIL], **CONSENT)
    await judged(ledger, rule, 2)
    await say(ledger, 0, "granted")
    await delivered(ledger, rule, before=lambda call: failures.pop() if failures else None)
    assert await mails(ledger) == [("confirmed", ""), ("skipped", "no_consent")]
    assert [tuple(line[:4]) for line in await rows(ledger, LOG)] == [
        ("granted", "marketing", "email", "test"), ("used", "marketing", "email", "rule test_rule"),
    ]  # fmt: skip
    same = "SELECT count(DISTINCT wording_hash), min(length(wording_hash)) FROM handoff.consents"
    assert await rows(ledger, same) == [(1, 64)]
    attempts = "SELECT attempts FROM handoff.effects JOIN handoff.consents ON effect_id = effects.id"
    assert await rows(ledger, attempts) == [(2,)]


async def test_explain_and_consent_say_why(ledger: AsyncEngine, ledger_url: str) -> None:
    rule = a_rule(steps=[MAIL], **CONSENT)
    await judged(ledger, rule, 1)
    async with ledger.begin() as connection:
        assert await unsubscribe(connection, key(), "survey", "one-click")
        assert not await unsubscribe(connection, key(), "survey", "one-click")
    await delivered(ledger, rule)
    assert "unsubscribed (abgemeldet)" in (await handoff(ledger_url, "explain", person(0))).out
    said = await handoff(ledger_url, "consent", person(0))
    assert (said.status, "one-click" in said.out, "no: unsubscribed" in said.out) == (0, True, True)
    found = (await handoff(ledger_url, "consent", key(), "--json")).json
    assert [line["what"] for line in found["log"]] == ["objected"]
    assert [one["refusal"]["consent"] for one in found["standing"]] == ["unsubscribed", "unsubscribed"]
    assert (await handoff(ledger_url, "consent", "nobody@example.org")).status == 1


async def test_only_a_fresh_double_opt_in_or_a_person_lifts_a_suppression(
    ledger: AsyncEngine, ledger_url: str, tmp_path: Path
) -> None:
    async with ledger.begin() as connection:
        await unsubscribe(connection, key(), "survey", "page")
    line = f"{person(0)},survey,{datetime.now(UTC).isoformat()},form,Ja,confirmed"
    file = tmp_path / "c.csv"
    file.write_text(f"email,purpose,at,source,wording,what\n{line}\nx,survey,2026-01-01T00:00:00Z,form,Ja,\n")

    async def may() -> str | None:
        found = (await handoff(ledger_url, "consent", person(0), "--json")).json
        reason: str | None = next(one["refusal"]["consent"] for one in found["standing"] if one["purpose"] == "survey")
        return reason

    imported = await handoff(ledger_url, "consent", "--import", file)
    assert (imported.status, "line 3:" in imported.out, "added: 1" in imported.out) == (1, True, True)
    again = (await handoff(ledger_url, "consent", "--import", file, "--json")).json
    assert (again["added"], again["left_out"]) == (0, 1)
    assert (await handoff(ledger_url, "consent", person(0), "--grant", "survey", *WORDING)).status == 0
    assert await may() == "unsubscribed"
    old = ("--double-opt-in", "--at", "2026-01-01T00:00:00Z")
    assert (await handoff(ledger_url, "consent", person(0), "--grant", "survey", *WORDING, *old)).status == 0
    assert await may() == "unsubscribed"
    fresh = await handoff(ledger_url, "consent", person(0), "--grant", "survey", *WORDING, "--double-opt-in")
    assert (fresh.status, await may()) == (0, None)
    assert (await handoff(ledger_url, "suppress", person(0), "--reason", "complaint")).status == 0
    assert await may() == "suppressed"
    assert (await handoff(ledger_url, "suppress", person(0), "--lift")).status == 2
    lifted = await handoff(ledger_url, "suppress", person(0), "--lift", "--because", "asked for it", "--json")
    assert (lifted.status, lifted.json["lifted"], await may()) == (0, 1, None)
    assert (await handoff(ledger_url, "suppress", person(0), "--lift", "--because", "again")).status == 1
    assert (await handoff(ledger_url, "consent", person(0), "--withdraw", "survey")).status == 0
    assert await may() == "consent_withdrawn"


async def test_a_consent_without_wording_or_source_is_not_taken(ledger_url: str) -> None:
    for words in ((), ("--wording", "Ja"), ("--source", "form"), (*WORDING, "--at", "2026-01-01")):
        said = await handoff(ledger_url, "consent", person(0), "--grant", "survey", *words)
        assert said.status == 2
    assert (await handoff(ledger_url, "consent", person(0))).status == 1


async def test_erasing_keeps_the_suppression_and_what_was_said(ledger: AsyncEngine, ledger_url: str) -> None:
    evidence = {"doi_message_id": "<xenia-q7@example.org>"}
    entry = Entry(
        Subject(key(), "email", "survey"), "confirmed", datetime.now(UTC), "Ich willige ein.", "Xenia-q7 am Telefon",
        "192.0.2.77", "Firefox-q7", evidence,
    )  # fmt: skip
    async with ledger.begin() as connection:
        await consents.add(connection, [entry])
        await unsubscribe(connection, key(), "survey", "page")
        gone = await erase(connection, key())
        late = await consents.add(connection, [Entry(entry.subject, "granted", datetime.now(UTC), "Ja", "Xenia-q7")])
    assert (gone.consents, late) == (2, 0)
    left = "SELECT what, wording, source, ip, user_agent, evidence, contact_id FROM handoff.consents ORDER BY id"
    assert await rows(ledger, left) == [
        ("confirmed", "Ich willige ein.", "", "", "", {}, None), ("withdrawn", "", "", "", "", {}, None),
    ]  # fmt: skip
    held = "SELECT channel, reason FROM handoff.suppressions WHERE lifted_at IS NULL ORDER BY reason"
    assert await rows(ledger, held) == [("all", "erased"), ("email", "unsubscribed")]
    assert (await handoff(ledger_url, "suppress", person(0), "--lift", "--because", "Irrtum", "--json")).json["lifted"]
    assert await rows(ledger, held) == [("all", "erased")]
    said = await handoff(ledger_url, "consent", person(0), "--grant", "survey", *WORDING)
    assert (said.status, "erased" in said.err) == (2, True)


async def test_the_proof_is_kept_five_years_from_the_last_use_and_an_objection_for_ever(ledger: AsyncEngine) -> None:
    now, day = datetime.now(UTC), timedelta(days=1)
    old, recent = now - 1828 * day, now - 1826 * day

    def entry(number: int, what: str, at: datetime, purpose: str = "survey") -> Entry:
        return Entry(Subject(key(number), "email", purpose), what, at, "Ja", "form", evidence={"doi": "x"})

    async with ledger.begin() as connection:
        await consents.add(
            connection,
            [
                entry(0, "granted", old), entry(0, "granted", recent, "marketing"),
                entry(1, "granted", old), entry(1, "confirmed", recent),
                entry(2, "notice_given", old), entry(2, "objected", old + day / 2),
            ],
        )  # fmt: skip
        assert (await retention.due(connection, retention.Periods()))["consents"] == 3
        assert (await retention.apply(connection))["consents"] == 3
        assert (await retention.apply(connection))["consents"] == 0
    left = "SELECT contact_key, purpose, what, source, evidence FROM handoff.consents ORDER BY id"
    assert await rows(ledger, left) == [
        (key(0), "marketing", "granted", "form", {"doi": "x"}),
        (key(1), "survey", "granted", "form", {"doi": "x"}),
        (key(1), "survey", "confirmed", "form", {"doi": "x"}),
        (key(2), "survey", "objected", "", {}),
    ]
