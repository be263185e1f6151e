"""Answers in the ledger: stored once, changed in place, heard as events, and nobody's when the person goes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.answer import Answer, GivenAnswer, UnusableAnswer
from handoff.contact import Contact
from handoff.delivery.answers_source import AnswersSource
from handoff.ledger import answers, askings, retention
from handoff.ledger.erasure import erase
from handoff.ledger.occasions import occasion_from_row
from handoff.occasion import Occasion
from handoff.planning.answering import record_answer, record_own
from handoff.rules.rule import Rule
from tests.support.delivery import desk_of, judge_due, states, work
from tests.support.domain import a_rule
from tests.support.rows import change, rows
from tests.support.surveys import ask, effect_keys, survey_rule
from tests.support.targets import MemoryTarget

NOTE = Rule.model_validate(
    {
        "id": "note", "title": "Note", "source": "survey", "when": {"minutes": 0, "after": "answered"},
        "steps": [{"step": "klicktipp.tag", "tag": "geantwortet"}],
    }
)  # fmt: skip
SECRET_WORDS = "Das Angebot war zu teuer"


async def answer(
    ledger: AsyncEngine, rating: int, comment: str = SECRET_WORDS, number: int = 0, rules: tuple[Rule, ...] = (NOTE,)
) -> Answer | None:
    async with ledger.begin() as connection:
        asked = await askings.by_effect_key(connection, (await effect_keys(ledger))[number])
        assert asked is not None
        return await record_own(connection, asked, rating, comment, rules)


async def record(ledger: AsyncEngine, given: GivenAnswer) -> Answer | None:
    async with ledger.begin() as connection:
        return await record_answer(connection, given, [NOTE])


def from_callexa(**changes: object) -> GivenAnswer:
    given = GivenAnswer("nps", 9, "recipient-7/2026-11", datetime.now(UTC) - timedelta(hours=20), "gut", "callexa")
    return replace(given, **changes)  # type: ignore[arg-type]


async def heard(ledger: AsyncEngine) -> list[Occasion]:
    async with ledger.connect() as connection:
        found = await connection.execute(text("SELECT * FROM handoff.occasions WHERE source = 'survey' ORDER BY id"))
        return [occasion_from_row(row) for row in found.mappings()]


async def test_an_answer_is_an_occasion_that_knows_what_led_to_it_and_not_the_comment(ledger: AsyncEngine) -> None:
    await ask(ledger, survey_rule())
    given = await answer(ledger, 9)
    assert given is not None
    [occasion] = await heard(ledger)
    assert (occasion.account, occasion.key, occasion.series) == ("survey", f"{given.id}/1", "zufriedenheit")
    assert occasion.facts == {
        "answer": given.id, "version": 1, "rating": 9, "via": "own", "record": "opportunity/31",
        "contact_ref": "p000000", "source": "webinaris", "account": "webinaris_default",
    }  # fmt: skip
    async with ledger.connect() as connection:
        assert await answers.answers_of(connection, occasion.facts) == (9, SECRET_WORDS)
        assert await answers.answers_of(connection, {}) is None
    [(everything,)] = await rows(ledger, "SELECT string_agg(CAST(payload AS text), '') FROM handoff.inbox")
    assert SECRET_WORDS not in everything


async def test_a_rule_hands_over_who_answered_and_a_changed_answer_takes_the_place_of_the_first(
    ledger: AsyncEngine,
) -> None:
    await ask(ledger, survey_rule())
    source, target = AnswersSource(ledger), MemoryTarget()
    await answer(ledger, 3)
    await answer(ledger, 8)
    batches = await rows(ledger, "SELECT state FROM handoff.batches WHERE rule_id = 'note' ORDER BY id")
    assert batches == [("cancelled",), ("waiting",)]
    assert await judge_due(ledger, NOTE, source) == ["judged"]
    await work(ledger, NOTE, desk_of(ledger, {"klicktipp_default": target}))
    assert [email for email, _ in target.effects] == ["person0@example.org"]


async def test_what_waits_for_an_earlier_version_does_not_go_out(ledger: AsyncEngine) -> None:
    await ask(ledger, survey_rule())
    source, target = AnswersSource(ledger), MemoryTarget()
    await answer(ledger, 3)
    assert await judge_due(ledger, NOTE, source) == ["judged"]
    await answer(ledger, 8)
    await work(ledger, NOTE, desk_of(ledger, {"klicktipp_default": target}))
    assert target.effects == []
    assert await states(ledger) == {"confirmed": 1, "skipped": 1}
    first, second = await heard(ledger)
    assert await source.occasion(first) is None
    assert await source.occasion(second) == second
    listing = await source.occasions(datetime.now(UTC) - timedelta(days=1))
    assert [occasion.cancelled for occasion in listing.occasions] == [True, False]
    assert (await source.occasions(datetime.now(UTC) + timedelta(days=1))).occasions == ()


async def test_the_list_of_an_answer_is_the_one_who_answered(ledger: AsyncEngine) -> None:
    await ask(ledger, survey_rule(), count=3)
    await answer(ledger, 10, number=1)
    [occasion] = await heard(ledger)
    roster = await AnswersSource(ledger).roster(occasion, None)
    [(contact_id,)] = await rows(ledger, "SELECT contact_id FROM handoff.answers")
    assert [(one.ref, one.email, one.first_name) for one in roster.registrations] == [
        (str(contact_id), "person1@example.org", "Vorname1")
    ]


async def test_the_same_answer_read_twice_is_stored_once(ledger: AsyncEngine) -> None:
    given = from_callexa()
    first = await asyncio.gather(*(record(ledger, given) for _ in range(4)))
    assert len({one.id for one in first if one}) == 1
    changed = replace(given, rating=2, answered_at=given.answered_at + timedelta(hours=1))
    for again in (changed, changed, given):
        stored = await record(ledger, again)
        assert stored is not None
        assert (stored.rating, stored.version) == (2, 2)
    assert await rows(ledger, "SELECT count(*) FROM handoff.answers") == [(1,)]


async def test_an_answer_heard_late_is_due_when_it_is_heard_and_one_long_past_starts_nothing(
    ledger: AsyncEngine,
) -> None:
    await ask(ledger, survey_rule())
    [(contact_id,)] = await rows(ledger, "SELECT contact_id FROM handoff.askings")
    await record(ledger, from_callexa(contact_id=contact_id))
    long_ago = datetime.now(UTC) - timedelta(days=300)
    await record(ledger, from_callexa(contact_id=contact_id, ref="old", answered_at=long_ago))
    found = await rows(ledger, "SELECT state FROM handoff.batches WHERE rule_id = 'note' ORDER BY id")
    assert found == [("waiting",), ("missed",)]


async def test_somebody_whom_the_ledger_does_not_know_counts_and_starts_nothing(ledger: AsyncEngine) -> None:
    assert await record(ledger, from_callexa()) is not None
    assert await heard(ledger) == []
    assert await rows(ledger, "SELECT rating FROM handoff.answers") == [(9,)]


@pytest.mark.parametrize("rating", [-1, 11])
async def test_no_other_rating_is_stored_by_anybody(ledger: AsyncEngine, rating: int) -> None:
    with pytest.raises(UnusableAnswer):
        await record(ledger, from_callexa(rating=rating))
    with pytest.raises(IntegrityError):
        await change(
            ledger,
            "INSERT INTO handoff.answers (survey, via, rating, answered_at) VALUES ('s', 'own', :rating, now())",
            rating=rating,
        )


async def test_when_nothing_can_be_planned_nothing_is_stored(ledger: AsyncEngine) -> None:
    await ask(ledger, survey_rule())
    broken = a_rule(id="broken").model_copy(update={"source": "survey", "conn_id": "survey", "when": None})
    with pytest.raises(AttributeError):
        await answer(ledger, 9, rules=(broken,))
    assert await rows(ledger, "SELECT count(*) FROM handoff.answers") == [(0,)]
    assert await heard(ledger) == []


async def test_an_erased_person_leaves_a_rating_that_is_nobody_s(ledger: AsyncEngine) -> None:
    await ask(ledger, survey_rule(), count=2)
    source, target = AnswersSource(ledger), MemoryTarget()
    await answer(ledger, 4)
    await answer(ledger, 2, "noch etwas")
    await answer(ledger, 9, "von der anderen", number=1)
    await judge_due(ledger, NOTE, source)
    async with ledger.begin() as connection:
        gone = await erase(connection, Contact("person0@example.org").key)
    assert gone.answers == 1
    of_the_first = (await heard(ledger))[:2]
    assert [(one.facts, await source.occasion(one)) for one in of_the_first] == [({}, None)] * 2
    found = await rows(
        ledger,
        "SELECT rating, comment, contact_id IS NULL, effect_id IS NULL, occasion_id IS NULL, ref IS NULL "
        "FROM handoff.answers ORDER BY rating NULLS LAST",
    )
    assert found == [
        (2, "", True, True, True, True), (9, "von der anderen", False, False, False, False),
        (None, "", True, True, True, False),
    ]  # fmt: skip
    [(left,)] = await rows(ledger, "SELECT string_agg(CAST(payload AS text), '') FROM handoff.inbox "
                           "WHERE source = 'survey' AND payload <> '{}'")  # fmt: skip
    assert '"rating": 9' in left
    assert '"rating": 2' not in left
    assert '"rating": 4' not in left
    await work(ledger, NOTE, desk_of(ledger, {"klicktipp_default": target}))
    assert [email for email, _ in target.effects] == ["person1@example.org"]


async def test_the_same_answer_does_not_bring_an_erased_person_back(ledger: AsyncEngine) -> None:
    await ask(ledger, survey_rule())
    [(contact_id,)] = await rows(ledger, "SELECT contact_id FROM handoff.askings")
    given = from_callexa(contact_id=contact_id, comment=SECRET_WORDS)
    await record(ledger, given)
    async with ledger.begin() as connection:
        await erase(connection, Contact("person0@example.org").key)
    later = given.answered_at + timedelta(days=2)
    # With the person known, and not known any more.
    for again in (given, replace(given, contact_id=None), replace(given, rating=1, answered_at=later, contact_id=None)):
        assert await record(ledger, again) is None
    assert await rows(ledger, "SELECT rating FROM handoff.answers WHERE rating IS NOT NULL") == [(9,)]
    async with ledger.connect() as connection:
        latest = {"survey": "zufriedenheit", "via": "own", "contact_key": Contact("person0@example.org").key}
        assert await askings.latest(connection, **latest) is None


async def test_an_erasure_and_an_answer_at_the_same_time_leave_nothing_of_the_person(ledger: AsyncEngine) -> None:
    for number in range(5):
        await ask(ledger, survey_rule(f"ask{number}", survey=f"s{number}"), count=5, key=f"d{number}")

    async def gone(number: int) -> None:
        async with ledger.begin() as connection:
            await erase(connection, Contact(f"person{number}@example.org").key)

    async def given(number: int) -> None:
        async with ledger.begin() as connection:
            for key in await effect_keys(ledger):
                asked = await askings.by_effect_key(connection, key)
                if asked and asked.survey == f"s{number}":
                    await record_own(connection, asked, 5, SECRET_WORDS, [NOTE])

    await asyncio.gather(*(given(number) for number in range(5)), *(gone(number) for number in range(3)))
    left = await rows(
        ledger,
        "SELECT count(*) FROM handoff.answers AS answer JOIN handoff.contacts AS contact "
        "ON contact.id = answer.contact_id WHERE contact.erased",
    )
    assert left == [(0,)]
    [(comments, ratings)] = await rows(
        ledger, "SELECT count(*) FILTER (WHERE comment <> ''), count(rating) FROM handoff.answers"
    )
    assert comments == 10
    assert ratings >= 10


async def test_the_retention_period_ends_an_answer_and_its_rating_stays(ledger: AsyncEngine) -> None:
    await record(ledger, from_callexa())
    await record(ledger, from_callexa(ref="new", rating=3))
    await change(ledger, "UPDATE handoff.answers SET answered_at = now() - interval '366 days' WHERE rating = 9")
    for expected in (1, 0):
        async with ledger.begin() as connection:
            assert (await retention.due(connection, retention.Periods()))["answers"] == expected
            assert (await retention.apply(connection))["answers"] == expected
    found = await rows(ledger, "SELECT rating, comment, ref FROM handoff.answers ORDER BY rating NULLS LAST")
    assert found == [(3, "gut", "new"), (9, "", None), (None, "", "recipient-7/2026-11")]


async def test_who_was_asked_last_is_found_by_contact(ledger: AsyncEngine) -> None:
    await ask(ledger, survey_rule("first", at_least_weeks_apart=0), key="d1")
    await ask(ledger, survey_rule("second", at_least_weeks_apart=0), key="d2")
    key = Contact("person0@example.org").key
    async with ledger.connect() as connection:
        found = await askings.latest(connection, survey="zufriedenheit", via="own", contact_key=key)
        assert await askings.latest(connection, survey="zufriedenheit", via="callexa", contact_key=key) is None
    assert found is not None
    assert found.rule_id == "second"
