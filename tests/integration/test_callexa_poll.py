"""Callexa's stand-in, polled over real HTTP into a real ledger: each answer once, whatever happens meanwhile."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.answer import Figures
from handoff.contact import Contact
from handoff.errors import RateLimited, SourceError, WrongCredentials
from handoff.ledger import cursors, nps, retention
from handoff.ledger.erasure import erase
from handoff.rules.rule import Rule
from hooks.accounts import VENDORS
from hooks.callexa import CallexaHook
from operators.callexa import RecordAnswersOperator
from operators.next_poll import NextPollOperator
from sandbox import CALLEXA_APIKEY
from tests.support.crm import SURVEY, Crm, a_crm
from tests.support.rows import change, rows
from tests.support.surveys import ask

CONN = "callexa_default"
WORLD: dict[str, Any] = {
    "callexa": {
        "surveys": [
            {"id": "s1", "name": SURVEY, "min_distance_weeks": 0}, {"id": "s2", "name": "Projekte"},
            {"id": "s3", "name": "Niemand"},
        ]
    }
}  # fmt: skip
EVERYTHING = "SELECT survey, via, rating, comment, version, contact_id IS NULL FROM handoff.answers ORDER BY id"
BATCHES = "SELECT state FROM handoff.batches WHERE rule_id = 'note' ORDER BY id"
HEARD = "SELECT key, cancelled, facts FROM handoff.occasions WHERE source = 'survey' ORDER BY id"
NOTHING_NEW = {"new": 0, "changed": 0, "strangers": 0, "left_out": 0, "unreadable": 0}


@pytest.fixture
async def crm(tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Crm]:
    async with a_crm(WORLD, tmp_path, ledger_url, monkeypatch) as running:
        running.rule(id="note", source="survey", steps=[{"step": "insightly.note"}])
        yield running


def asking(crm: Crm, rule_id: str = "ask", survey: str = SURVEY, weeks: int = 0) -> Rule:
    """Write and return a rule that queues everybody for a survey."""
    return crm.rule(
        id=rule_id, source="webinaris", who="registered", when={"minutes": 0, "after": "end"}, purpose="survey",
        legal_basis="consent", steps=[{"step": "callexa.recipient", "survey": survey, "at_least_weeks_apart": weeks}],
    )  # fmt: skip


async def queue(crm: Crm, ledger: AsyncEngine, *, count: int = 1, key: str = "d1", **rule: Any) -> None:
    """Let ``person0`` and so on be queued through the delivery engine."""
    target = VENDORS["callexa"].from_connection(CONN, crm.connection(CONN))
    before = len(crm.did("callexa"))
    await ask(ledger, asking(crm, **rule), count=count, key=key, target=target)
    await target.close()
    assert crm.did("callexa")[before:] == ["recipient"] * count


async def poll() -> dict[str, int]:
    return await RecordAnswersOperator(task_id="record").aexecute({})


async def news() -> dict[str, int]:
    """Poll, and return the counts that are not 0."""
    counts = await poll()
    return {name: count for name, count in counts.items() if count and name != "surveys"}


async def next_poll(requests: int = 2) -> dict[str, Any]:
    operator = NextPollOperator(task_id="next", hook=CallexaHook, account=CONN, requests=requests)
    return await operator.aexecute({})


async def cursor(ledger: AsyncEngine) -> dict[str, Any]:
    async with ledger.connect() as connection:
        return json.loads(await cursors.read(connection, CallexaHook.conn_type, CONN) or "{}")


async def test_an_answer_is_an_occasion_of_which_rules_make_something(crm: Crm, ledger: AsyncEngine) -> None:
    await queue(crm, ledger)
    assert await poll() == {"surveys": 1, "unchanged": 0, **NOTHING_NEW}
    await crm.answer(9, "gut")
    assert await news() == {"new": 1}
    [(key, cancelled, facts)] = await rows(ledger, HEARD)
    assert (key.partition("/")[2], cancelled, facts["rating"], facts["via"]) == ("1", False, 9, "callexa")
    assert (facts["record"], facts["contact_ref"]) == ("opportunity/31", "p000000")
    assert await rows(ledger, BATCHES) == [("waiting",)]
    assert await rows(ledger, EVERYTHING) == [(SURVEY, "callexa", 9, "gut", 1, False)]
    [(rule, effect, ref, effect_key)] = await rows(
        ledger,
        "SELECT answer.rule_id, asking.survey, answer.ref, asking.effect_key FROM handoff.answers AS answer "
        "JOIN handoff.askings AS asking ON asking.effect_id = answer.effect_id",
    )
    assert (rule, effect, ref) == ("ask", SURVEY, effect_key)


async def test_a_changed_answer_takes_the_place_of_the_first(crm: Crm, ledger: AsyncEngine) -> None:
    await queue(crm, ledger)
    await crm.answer(3, "schlecht")
    await poll()
    await crm.answer(3, "doch nicht so schlecht")
    assert await news() == {"changed": 1}
    assert [row[1] for row in await rows(ledger, HEARD)] == [True, False]
    assert await rows(ledger, BATCHES) == [("cancelled",), ("waiting",)]
    assert await rows(ledger, EVERYTHING) == [(SURVEY, "callexa", 3, "doch nicht so schlecht", 2, False)]


async def test_the_same_poll_twice_changes_nothing(crm: Crm, ledger: AsyncEngine) -> None:
    await queue(crm, ledger, count=3)
    for number in range(3):
        await crm.answer(number, email=f"person{number}@example.org")
    assert await news() == {"new": 3}
    before = [await rows(ledger, query) for query in (EVERYTHING, BATCHES, HEARD)]
    assert await news() == {"unchanged": 3}, "an answer of the last hour is listed again"
    assert [await rows(ledger, query) for query in (EVERYTHING, BATCHES, HEARD)] == before


async def test_a_worker_that_dies_before_the_cursor_moves_loses_and_doubles_nothing(
    crm: Crm, ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue(crm, ledger, count=2)
    for number in range(2):
        await crm.answer(8, email=f"person{number}@example.org")

    class Killed(BaseException):
        """Nothing that an operator would catch."""

    async def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(cursors, "write", dies)
        with pytest.raises(Killed):
            await poll()
    assert await cursor(ledger) == {}
    assert len(await rows(ledger, EVERYTHING)) == 2
    assert await news() == {"unchanged": 2}
    assert await rows(ledger, BATCHES) == [("waiting",)] * 2
    assert (await cursor(ledger))["since"].keys() == {"s1"}


@pytest.mark.parametrize("rating", [11, -1, "sieben", "9"])
async def test_an_unreadable_answer_blocks_no_other_and_is_read_when_it_is_put_right(
    crm: Crm,
    ledger: AsyncEngine,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    rating: int | str,
) -> None:
    await queue(crm, ledger, count=2)
    await crm.answer(rating, "vertraulich", "person0@example.org")
    await crm.answer(7, email="person1@example.org")
    assert await news() == {"new": 1, "unreadable": 1}
    told = caplog.text + "".join(capsys.readouterr())
    assert "answer a1:" in told
    assert "vertraulich" not in told
    assert "person0" not in told
    await crm.answer(8, email="person1@example.org")
    assert (await news())["unreadable"] == 1
    await crm.answer(10, "endlich", "person0@example.org")
    assert await news() == {"new": 1, "unchanged": 1}
    assert sorted(row[2] for row in await rows(ledger, EVERYTHING)) == [8, 10]


async def test_the_cursor_waits_a_month_for_an_unreadable_answer(crm: Crm, ledger: AsyncEngine) -> None:
    await queue(crm, ledger, count=2)
    await crm.answer("sieben", email="person0@example.org")
    await crm.answer(7, email="person1@example.org")
    await poll()
    since = datetime.fromisoformat((await cursor(ledger))["since"]["s1"])
    assert timedelta(days=29) < datetime.now(UTC) - since < timedelta(days=31)
    await crm.answer(1, email="person0@example.org")
    await poll()
    since = datetime.fromisoformat((await cursor(ledger))["since"]["s1"])
    assert datetime.now(UTC) - since < timedelta(minutes=10)


async def test_a_comment_arrives_as_it_was_written(crm: Crm, ledger: AsyncEngine) -> None:
    comment = ('<script>alert(1)</script> & "Zitat" 🎉 Grüße\n' * 300)[:10_000]
    await queue(crm, ledger)
    await crm.answer(10, comment)
    assert await news() == {"new": 1}
    assert await rows(ledger, "SELECT comment FROM handoff.answers") == [(comment,)]
    for table in ("occasions", "inbox", "cursors", "batches"):
        assert "script" not in str(await rows(ledger, f"SELECT * FROM handoff.{table}"))


async def test_two_askings_of_one_person_are_two_answers(crm: Crm, ledger: AsyncEngine) -> None:
    await queue(crm, ledger, key="d1")
    await crm.answer(2)
    await poll()
    await queue(crm, ledger, key="d2")
    await crm.answer(9)
    assert await news() == {"new": 1, "unchanged": 1}
    assert [row[2] for row in await rows(ledger, EVERYTHING)] == [2, 9]
    assert [row[1] for row in await rows(ledger, HEARD)] == [False, False]


async def test_somebody_whom_the_ledger_never_asked_counts_and_starts_nothing(crm: Crm, ledger: AsyncEngine) -> None:
    asking(crm)
    await crm.queue_by_hand("s1", "fremd@example.org")
    await crm.answer(2, "an fremd@example.org", "fremd@example.org")
    assert await news() == {"strangers": 1}
    assert await news() == {"unchanged": 1}
    assert await rows(ledger, EVERYTHING) == [(SURVEY, "callexa", 2, "", 1, True)]
    assert await rows(ledger, HEARD) == []
    [(ref,)] = await rows(ledger, "SELECT ref FROM handoff.answers")
    assert "@" not in ref
    async with ledger.connect() as connection:
        [line] = await nps.lines(connection, survey=SURVEY)
    assert asdict(line.figures) == asdict(Figures(detractors=1))


async def test_an_account_that_does_not_show_our_id_is_matched_by_address(crm: Crm, ledger: AsyncEngine) -> None:
    await queue(crm, ledger)
    await crm.answer(6, email="PERSON0@example.org")
    crm.extra["field_external_id"] = "elsewhere"
    assert await news() == {"new": 1}
    await crm.answer(7)
    assert await news() == {"changed": 1}
    assert await rows(ledger, BATCHES) == [("cancelled",), ("waiting",)]
    assert await rows(ledger, "SELECT rule_id, count(*) FROM handoff.answers GROUP BY rule_id") == [("ask", 1)]


@pytest.mark.parametrize("hidden", [False, True], ids=["by our id", "by address"])
async def test_an_erased_person_s_answer_is_not_taken(crm: Crm, ledger: AsyncEngine, hidden: bool) -> None:
    await queue(crm, ledger)
    if hidden:
        crm.extra["field_external_id"] = "elsewhere"
    async with ledger.begin() as connection:
        await erase(connection, Contact("person0@example.org").key)
    await crm.answer(9, "vertraulich")
    assert await news() == {"left_out": 1}
    assert await rows(ledger, EVERYTHING) == []


async def test_an_answer_whose_time_is_over_is_not_taken_again(crm: Crm, ledger: AsyncEngine) -> None:
    await queue(crm, ledger)
    await crm.answer(9, "vertraulich")
    await poll()
    await change(ledger, "UPDATE handoff.answers SET answered_at = now() - interval '366 days'")
    async with ledger.begin() as connection:
        await retention.apply(connection)
    await crm.answer(1, "noch etwas")
    assert await news() == {"left_out": 1}
    assert await rows(ledger, "SELECT rating, comment FROM handoff.answers WHERE rating IS NOT NULL") == [(9, "")]


async def test_a_survey_that_two_rules_call_by_name_and_id_is_read_once(crm: Crm, ledger: AsyncEngine) -> None:
    await queue(crm, ledger, key="d1")
    await queue(crm, ledger, key="d2", rule_id="by_id", survey="s1")
    await crm.queue_by_hand("s1", "fremd@example.org")
    await crm.answer(5)
    await crm.answer(3, email="fremd@example.org")
    before = await crm.asked("callexa")
    assert await news() == {"new": 1, "strangers": 1}
    assert await crm.asked("callexa") - before == {"GET /surveys": 1, "GET /surveys/{id}/answers": 1}
    assert [row[0] for row in await rows(ledger, EVERYTHING)] == ["s1", SURVEY]


async def test_a_survey_that_cannot_be_read_stops_no_other(crm: Crm, ledger: AsyncEngine) -> None:
    await queue(crm, ledger)
    await crm.answer(9)
    for rule_id, survey in (("a", "Gibt es nicht"), ("b", "Projekte"), ("c", "Niemand")):
        asking(crm, rule_id, survey)
    await crm.fault("503", path="/surveys/s2", count=1)
    with pytest.raises(SourceError, match="2 surveys cannot be read"):
        await poll()
    assert await rows(ledger, BATCHES) == [("waiting",)]
    assert (await cursor(ledger))["since"].keys() == {"s1"}
    (crm.folder / "a.yaml").unlink()
    assert await poll() == {"surveys": 3, "unchanged": 1, **NOTHING_NEW}


async def test_a_revoked_key_and_a_rate_limit_lose_nothing(crm: Crm, ledger: AsyncEngine) -> None:
    await queue(crm, ledger)
    await crm.answer(9)
    crm.apikey = "revoked"
    with pytest.raises(WrongCredentials) as wrong:
        await poll()
    assert "revoked" not in str(wrong.value)
    crm.apikey = CALLEXA_APIKEY
    asking(crm, "other", "Projekte")
    await crm.fault("429", path="/surveys/s", retry_after=30, count=1)
    with pytest.raises(RateLimited):
        await poll()
    assert (await next_poll())["at"] > datetime.now(UTC).timestamp() + 3000, "no account is asked without a pause"
    assert await rows(ledger, EVERYTHING) == []
    assert await news() == {"new": 1}


async def test_a_limit_in_the_middle_keeps_what_was_read_before_it(crm: Crm, ledger: AsyncEngine) -> None:
    await queue(crm, ledger)
    await crm.answer(9)
    asking(crm, "other", "Projekte")
    await crm.fault("429", path="/surveys/s2", count=1)
    with pytest.raises(RateLimited):
        await poll()
    assert len(await rows(ledger, EVERYTHING)) == 1
    assert (await cursor(ledger))["since"].keys() == {"s1"}


async def test_the_next_poll_is_an_hour_later_or_as_the_connection_says(crm: Crm, ledger: AsyncEngine) -> None:
    assert (await next_poll())["at"] == 0, "at once, when it was never polled"
    asking(crm)
    async with ledger.begin() as connection:
        await cursors.poke(connection, CallexaHook.conn_type, CONN)
        poked = await cursors.poked(connection, CallexaHook.conn_type, CONN)
    await poll()
    now = datetime.now(UTC).timestamp()
    assert await next_poll() == {
        "at": pytest.approx(now + 3600, abs=30), "seen": poked, "not_before": pytest.approx(now + 5, abs=30), "pace": 0
    }  # fmt: skip
    crm.extra["poll_minutes"] = 1
    assert (await next_poll())["at"] == pytest.approx(now + 60, abs=30)
    crm.extra["requests_per_day"] = 100
    # A fifth of them is for polling.
    assert (await next_poll())["at"] == pytest.approx(now + 2 * 86_400 / 20, abs=30)
