"""What a changed rule would have done: compared person by person, without a call and without a write."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.audience import Audience
from handoff.contact import Contact
from handoff.delivery.by_hand import hand_over
from handoff.ledger import registrations, retention
from handoff.ledger.erasure import erase
from handoff.ledger.retention import Periods
from handoff.ledger.schema import Base
from handoff.planning.hindsight import Hindsight, StepChange, rehearse
from handoff.planning.planner import record
from handoff.registration import Registration, Roster
from handoff.rules.rule import Rule
from tests.support.commands import handoff
from tests.support.delivery import judge_due, plan
from tests.support.domain import FixedSource, a_rule, an_occasion, stay
from tests.support.loopback import serving
from tests.support.rows import change, rows

START = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=61)
END = START + timedelta(minutes=60)
OLD = a_rule(who="attended", attended_from_percent=50)
WATCHED = {"all": 60, "most": 40, "some": 20, "none": 0}


def key(name: str) -> str:
    return Contact(email=f"{name}@example.org").key


def people() -> tuple[Registration, ...]:
    return tuple(
        Registration(
            name, f"{name}@example.org", START - timedelta(minutes=9 - number), presence=(stay(START, 0, minutes),)
        )
        for number, (name, minutes) in enumerate(WATCHED.items())
    )


async def judged(ledger: AsyncEngine, rule: Rule = OLD, **changes: Any) -> FixedSource:
    occasion = an_occasion(start=START, **changes)
    source = FixedSource(occasion, people())
    await plan(ledger, source, [rule], occasion)
    assert await judge_due(ledger, rule, source) == ["judged"]
    return source


async def one(ledger: AsyncEngine, rule: Rule, days: int = 1) -> Hindsight:
    [found] = await rehearse(ledger, rule, days)
    return found


async def everything(ledger: AsyncEngine) -> list[Any]:
    return [
        sorted(map(repr, await rows(ledger, f"SELECT * FROM handoff.{table.name}")))
        for table in Base.metadata.sorted_tables
    ]


async def test_the_same_rule_would_have_done_the_same(ledger: AsyncEngine) -> None:
    await judged(ledger)
    assert await one(ledger, OLD) == Hindsight(
        "d1", "Webinar", "judged", 1, END, END, [], [], [key("all"), key("most")], StepChange([], []), missing=[]
    )


@pytest.mark.parametrize(
    ("who", "percent", "newly", "no_longer", "same"),
    [
        ("attended", 90, [], ["most"], ["all"]),
        ("attended", 10, ["some"], [], ["all", "most"]),
        ("not_attended", 50, ["some", "none"], ["all", "most"], []),
        ("registered", 50, ["some", "none"], [], ["all", "most"]),
    ],
)
async def test_another_audience(
    ledger: AsyncEngine, who: Audience, percent: int, newly: list[str], no_longer: list[str], same: list[str]
) -> None:
    await judged(ledger)
    found = await one(ledger, a_rule(who=who, attended_from_percent=percent))
    assert (found.newly_included, found.no_longer_included, found.same) == tuple(
        [key(name) for name in names] for names in (newly, no_longer, same)
    )


async def test_another_moment(ledger: AsyncEngine) -> None:
    await judged(ledger, a_rule(who="online", when={"minutes": 30, "after": "start"}))
    found = await one(ledger, a_rule(who="online", when={"minutes": 50, "after": "start"}))
    assert (found.due_before, found.due_after) == (START + timedelta(minutes=30), START + timedelta(minutes=50))
    assert (found.no_longer_included, found.same) == ([key("most")], [key("all")])


async def test_other_steps(ledger: AsyncEngine) -> None:
    tags = [{"step": "klicktipp.tag", "tag": tag} for tag in ("a", "b", "c", "c")]
    await judged(ledger, a_rule(who="attended", steps=tags))
    found = await one(ledger, a_rule(who="attended", steps=[tags[1], tags[0], tags[2], {"step": "klicktipp.contact"}]))
    assert found.steps == StepChange(["klicktipp.contact"], ["klicktipp.tag (tag: c)"], reordered=True)


async def test_an_occasion_that_the_rule_did_not_have_or_has_no_longer(ledger: AsyncEngine) -> None:
    await judged(ledger, series="A")
    found = await one(ledger, a_rule(id="another", who="attended"))
    assert (found.state, found.version, found.due_before, found.steps) == ("not planned", None, None, None)
    assert found.newly_included == [key("all"), key("most")]
    found = await one(ledger, a_rule(who="attended", webinars=["B"]))
    assert (found.due_after, found.newly_included, found.no_longer_included) == (None, [], [key("all"), key("most")])


async def test_what_was_moved_and_moved_back_is_compared_with_what_was_decided(ledger: AsyncEngine) -> None:
    await judged(ledger)
    for number, start in ((2.0, START + timedelta(days=3)), (3.0, START)):
        await record(ledger, [an_occasion(start=start, changed=number)], [OLD])
    assert await rows(ledger, "SELECT state FROM handoff.batches ORDER BY round") == [("judged",), ("cancelled",)]
    found = await one(ledger, OLD)
    assert (found.state, found.newly_included, found.no_longer_included) == ("judged", [], [])
    assert found.same == [key("all"), key("most")]


async def test_only_moments_of_the_last_days(ledger: AsyncEngine) -> None:
    await judged(ledger)
    await change(ledger, "UPDATE handoff.batches SET due_at = due_at - interval '40 days'")
    earlier = a_rule(when={"days": 20, "before": "end"})
    assert await rehearse(ledger, earlier, 19) == []
    assert len(await rehearse(ledger, earlier, 21)) == len(await rehearse(ledger, earlier, 41)) == 1


async def test_a_moment_that_is_still_to_come_is_no_loss(ledger: AsyncEngine) -> None:
    await judged(ledger)
    found = await one(ledger, a_rule(who="attended", when={"days": 3, "after": "end"}))
    assert (found.newly_included, found.no_longer_included, found.same) == ([], [], [])
    assert "still to come" in found.missing[0]


async def test_what_the_facts_cannot_say_is_said(ledger: AsyncEngine) -> None:
    await judged(ledger)
    read = datetime.now(UTC)
    known = await one(ledger, OLD)
    assert known.missing == []
    await change(ledger, "UPDATE handoff.registrations SET read_at = :then", then=END - timedelta(minutes=1))
    assert "was last read at" in (await one(ledger, OLD)).missing[0]
    async with ledger.begin() as connection:
        await erase(connection, key("most"))
    found = await one(ledger, OLD)
    assert (found.no_longer_included, found.same, found.unknown) == ([], [key("all")], 1)
    assert "1 entries" in found.missing[-1]
    anchors = "anchors || jsonb_build_object('start', CAST(:end AS text), 'end', CAST(:end AS text))"
    ended = (read - timedelta(days=2)).isoformat()
    await change(ledger, f"UPDATE handoff.occasions SET anchors = {anchors}", end=ended)
    async with ledger.begin() as connection:
        await retention.apply(connection, Periods(presence=1))
    assert "not kept any more" in (await one(ledger, OLD, 9)).missing[0]


async def test_an_occasion_whose_list_was_never_read(ledger: AsyncEngine) -> None:
    await record(ledger, [an_occasion(start=START)], [])
    assert (await one(ledger, OLD)).missing == ["no entry of its list was ever read"]


async def test_what_was_given_by_hand_or_was_cancelled_is_left_out(ledger: AsyncEngine) -> None:
    moments = {"start": START, "end": END}
    await hand_over(ledger, OLD, key="k", people=[Contact("a@example.org")], title="Test", anchors=moments)
    await record(ledger, [an_occasion(start=START, cancelled=True)], [OLD])
    assert await rehearse(ledger, OLD, 9) == []


async def test_nothing_is_written(ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    await judged(ledger)
    before = await everything(ledger)
    await one(ledger, a_rule(who="registered", when={"minutes": 5, "before": "end"}))
    assert await everything(ledger) == before

    async def write(connection: Any, *_: Any) -> None:
        await connection.execute(text("INSERT INTO handoff.erased (key) VALUES ('x')"))

    monkeypatch.setattr(registrations, "listed", write)
    with pytest.raises(Exception, match="read-only"):
        await one(ledger, OLD)


async def test_nobody_is_called(
    ledger: AsyncEngine, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger is reached by a library of its own, through its folder; whatever else leaves is seen here."""
    asked = note_calls(monkeypatch)
    await judged(ledger)
    said = await handoff(ledger_url, "rehearse", rule_file(tmp_path, a_rule(who="online")), "--days", 1, "--json")
    assert (said.status, len(said.json["occasions"]), asked) == (0, 1, [])

    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    async with serving(answer) as server, ClientSession() as session, session.get(server.url):
        assert asked, "a call is seen"


def note_calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Note to whom sockets connect or send, and which names are looked up."""
    asked: list[Any] = []

    def noting(function: Any) -> Any:
        def noted(*given: Any, **more: Any) -> Any:
            asked.append(given)
            return function(*given, **more)

        return noted

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, noting(getattr(socket.socket, name)))
    monkeypatch.setattr(socket, "getaddrinfo", noting(socket.getaddrinfo))
    return asked


def rule_file(folder: Path, rule: Rule) -> Path:
    file = folder / "rule.yaml"
    file.write_text(json.dumps(rule.model_dump(mode="json")), "utf-8")
    return file


async def test_the_command(ledger: AsyncEngine, ledger_url: str, tmp_path: Path) -> None:
    source = await judged(ledger)
    async with ledger.begin() as connection:
        now = datetime.now(UTC)
        await registrations.store(connection, 1, Roster(now, now, source.registrations))
    file = rule_file(tmp_path, a_rule(who="attended", attended_from_percent=90))
    said = await handoff(ledger_url, "rehearse", file, "--days", 1, "--json")
    assert (said.status, said.json["totals"]) == (0, {"newly_included": 0, "no_longer_included": 1, "same": 1})
    [occasion] = said.json["occasions"]
    assert (occasion["no_longer_included"], occasion["moved_seconds"], "contacts" in occasion) == (1, 0.0, False)
    shown = (await handoff(ledger_url, "rehearse", file, "--days", 1, "--json", "--show-contacts")).json
    assert shown["occasions"][0]["contacts"]["no_longer_included"] == [key("most")]
    text_said = await handoff(ledger_url, "rehearse", file, "--days", 1, "--show-contacts")
    assert f"no longer included: {key('most')[:12]}" in text_said.out
    assert "@" not in text_said.out + said.out
    assert "Not rehearsed" in text_said.out
    with pytest.raises(SystemExit):
        await handoff(ledger_url, "rehearse", file, "--days", 0)
