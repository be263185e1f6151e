"""``handoff nps``: what surveys were answered."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.answer import Figures, GivenAnswer
from handoff.ledger import nps
from handoff.ledger.nps import Line
from handoff.planning.answering import record_answer
from tests.support.commands import handoff
from tests.support.rows import change
from tests.support.surveys import ask, survey_rule

MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)


async def given(
    ledger: AsyncEngine, *ratings: int, at: datetime = MONDAY, survey: str = "nps", rule: str = "won", first: int = 0
) -> None:
    async with ledger.begin() as connection:
        for number, rating in enumerate(ratings, start=first):
            answer = GivenAnswer(survey, rating, f"{survey}{rule}{number}", at, via="callexa", rule_id=rule)
            await record_answer(connection, answer, ())


async def lines(ledger: AsyncEngine, **options: object) -> list[Line]:
    async with ledger.connect() as connection:
        return await nps.lines(connection, **options)  # type: ignore[arg-type]


async def test_a_survey_in_all_and_by_rule(ledger: AsyncEngine) -> None:
    await given(ledger, 10, 9, 8, 0)
    await given(ledger, 3, 6, rule="completed")
    await given(ledger, 7, survey="anders", rule="")
    assert await lines(ledger) == [
        Line("anders", None, None, Figures(0, 0, 1, 0)), Line("nps", None, None, Figures(0, 2, 1, 3)),
    ]  # fmt: skip
    assert await lines(ledger, survey="nps", by="rule") == [
        Line("nps", "completed", None, Figures(0, 0, 0, 2)), Line("nps", "won", None, Figures(0, 2, 1, 1)),
    ]  # fmt: skip


async def test_only_the_newest_version_counts(ledger: AsyncEngine) -> None:
    await given(ledger, 2)
    await given(ledger, 10, at=MONDAY + timedelta(days=7))
    assert await lines(ledger, by="week") == [Line("nps", "won", date(2026, 3, 9), Figures(0, 1, 0, 0))]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("week", {date(2026, 2, 23): 1, date(2026, 3, 2): 1, date(2026, 3, 30): 1}),
        ("month", {date(2026, 3, 1): 2, date(2026, 4, 1): 1}),
    ],
)
async def test_weeks_and_months_begin_at_midnight_in_germany(
    ledger: AsyncEngine, by: str, expected: dict[date, int]
) -> None:
    for number, moment in enumerate(("2026-03-01T22:59:59", "2026-03-01T23:00:00", "2026-03-31T22:00:00")):
        await given(ledger, 9, at=datetime.fromisoformat(f"{moment}+00:00"), first=number)
    assert {line.since: line.figures.answered for line in await lines(ledger, by=by)} == expected
    assert [line.figures.answered for line in await lines(ledger, since=date(2026, 3, 2))] == [2]


async def test_those_asked_and_the_response_rate(ledger: AsyncEngine, ledger_url: str) -> None:
    await ask(ledger, survey_rule("won", survey="nps"), count=4)
    await change(ledger, "UPDATE handoff.effects SET state = 'held' WHERE id = (SELECT max(id) FROM handoff.effects)")
    await given(ledger, 10, 9, at=datetime.now(UTC))
    said = await handoff(ledger_url, "nps", "--by", "rule")
    assert said.status == 0
    head, line = (text.split() for text in said.out.splitlines())
    assert head == ["SURVEY", "RULE", "ASKED", "ANSWERED", "RATE", "PROMOTERS", "PASSIVES", "DETRACTORS", "NPS"]
    assert line == ["nps", "won", "3", "2", "67%", "2", "0", "0", "+100"]
    [found] = (await handoff(ledger_url, "nps", "nps", "--json")).json["lines"]
    assert (found["asked"], found["answered"], found["nps"]) == (3, 2, 100)
    assert found["response_rate"] == pytest.approx(2 / 3)


async def test_whom_a_vendor_left_out_was_not_asked(ledger: AsyncEngine) -> None:
    await ask(ledger, survey_rule("won", survey="nps"), count=2)
    await change(ledger, "UPDATE handoff.effects SET proof = jsonb_build_object('state', 'skipped') WHERE id % 2 = 0")
    assert [line.figures.asked for line in await lines(ledger)] == [1]


async def test_a_survey_that_there_is_not(ledger: AsyncEngine, ledger_url: str) -> None:
    assert (await handoff(ledger_url, "nps")).out == "No answers and nobody asked.\n"
    await given(ledger, 9)
    said = await handoff(ledger_url, "nps", "npss")
    assert said.status == 1
    assert "the surveys there are: nps" in said.out
    assert (await handoff(ledger_url, "nps", "npss", "--json")).json == {"known": False, "lines": []}


async def test_weeks_in_the_table(ledger: AsyncEngine, ledger_url: str) -> None:
    await given(ledger, 0, 9)
    await given(ledger, 8, rule="", at=MONDAY + timedelta(days=40))
    weeks = [line.split() for line in (await handoff(ledger_url, "nps", "--by", "week")).out.splitlines()[1:]]
    assert weeks == [
        ["nps", "2026-03-02", "won", "0", "2", "1", "0", "1", "0"],
        ["nps", "2026-04-06", "(none)", "0", "1", "0", "1", "0", "0"],
    ]
    months = (await handoff(ledger_url, "nps", "--by", "month", "--since", "2026-04-01")).out
    assert months.splitlines()[1].split()[:2] == ["nps", "2026-04"]
