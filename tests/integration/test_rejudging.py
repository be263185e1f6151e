"""A changed rule: what waits keeps its version until it is planned anew, and what changes is said first."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.delivery import judging_run
from handoff.delivery.by_hand import hand_over
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.planning.rejudging import Change, rejudge
from handoff.rules.rule import Rule
from handoff.target import Call
from tests.support.chaos import tags
from tests.support.commands import handoff
from tests.support.delivery import desk_of, judge_due, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.moments import judge_until_killed
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget

START = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
OLD = a_rule(webinars=["A", "B"])
LATER = a_rule(webinars=["A", "B"], when={"hours": 2, "after": "end"})
BATCHES = """SELECT occasion.key, batch.state, batch.reason, batch.rule_version, batch.due_at
    FROM handoff.batches AS batch JOIN handoff.occasions AS occasion ON occasion.id = occasion_id
    ORDER BY occasion.key"""


def dates() -> list[Occasion]:
    return [an_occasion(start=START, key=key.lower(), series=key) for key in "ABC"]


async def changes(ledger: AsyncEngine, rule: Rule, *, apply: bool = True) -> dict[str, Change]:
    return {one.occasion: one async for one in rejudge(ledger, rule, apply=apply)}


async def what(ledger: AsyncEngine, rule: Rule) -> dict[str, str]:
    return {key: one.what for key, one in (await changes(ledger, rule)).items()}


async def test_without_apply_nothing_changes_and_the_same_is_said(ledger: AsyncEngine) -> None:
    await record(ledger, dates(), [OLD])
    new = a_rule(webinars=["B", "C"], when={"hours": 2, "after": "end"})
    before = await rows(ledger, BATCHES), await rows(ledger, "SELECT * FROM handoff.rule_versions")
    shown = await changes(ledger, new, apply=False)
    assert before == (await rows(ledger, BATCHES), await rows(ledger, "SELECT * FROM handoff.rule_versions"))
    assert await changes(ledger, new) == shown
    due, end = START + timedelta(hours=3), START + timedelta(hours=1)
    assert shown == {
        "a": Change("cancelled", "a", "Webinar", end, None, 1, None, False),
        "b": Change("moved", "b", "Webinar", end, due, 1, 2, False),
        "c": Change("planned", "c", "Webinar", None, due, None, 2, False),
    }
    assert await rows(ledger, BATCHES) == [
        ("a", "cancelled", "rule_changed", 1, end), ("b", "waiting", "", 2, due), ("c", "waiting", "", 2, due),
    ]  # fmt: skip


async def test_a_change_of_steps_alone_updates_the_version_and_goes_out(ledger: AsyncEngine) -> None:
    sent = []

    def look(call: Call) -> None:
        sent.append(call.step.model_dump()["tag"])

    ended = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), series="A")
    await record(ledger, [ended], [OLD])
    new = a_rule(webinars=["A", "B"], steps=[{"step": "klicktipp.tag", "tag": "anders"}])
    assert await what(ledger, new) == {"d1": "updated"}
    assert await what(ledger, new) == {"d1": "unchanged"}
    await judge_due(ledger, new, FixedSource(ended, some_registrations(2)))
    await work(ledger, new, desk_of(ledger, {"klicktipp_default": MemoryTarget(before=look)}))
    assert sent == ["anders", "anders"]


async def test_what_was_cancelled_so_waits_again_when_it_matches(ledger: AsyncEngine) -> None:
    await record(ledger, dates(), [OLD])
    assert await what(ledger, a_rule(webinars=["B"])) == {"a": "cancelled", "b": "updated"}
    assert await what(ledger, a_rule(webinars=["B"])) == {"b": "unchanged"}
    assert await what(ledger, OLD) == {"a": "revived", "b": "updated"}
    assert {row[1:4] for row in await rows(ledger, BATCHES)} == {("waiting", "", 1)}


async def test_a_cancelled_batch_stays_cancelled_when_the_occasion_moves(ledger: AsyncEngine) -> None:
    await record(ledger, dates(), [OLD])
    await changes(ledger, a_rule(webinars=["B"]))
    moved = an_occasion(start=START + timedelta(days=1), key="a", series="A", changed=2.0)
    await record(ledger, [moved], [a_rule(webinars=["B"])])
    assert (await rows(ledger, BATCHES))[0][1:3] == ("cancelled", "rule_changed")


async def test_what_is_being_handed_over_or_was_stays(ledger: AsyncEngine) -> None:
    await record(ledger, dates(), [OLD])
    await change(ledger, "UPDATE handoff.batches SET leased_until = now() + interval '1 minute' WHERE id = 1")
    await change(ledger, "UPDATE handoff.batches SET state = 'judged' WHERE id = 2")
    before = await rows(ledger, BATCHES)
    assert await what(ledger, LATER) == {"a": "in_hand"}
    assert await rows(ledger, BATCHES) == before


@pytest.mark.parametrize(
    "new",
    [
        a_rule(steps=tags("neu")),
        a_rule(steps=tags("neu"), when={"minutes": 30, "after": "end"}),
        a_rule(steps=tags("neu"), webinars=["another"]),
    ],
    ids=["steps", "moment", "webinar"],
)
async def test_a_batch_of_which_a_part_was_judged_stays(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch, new: Rule
) -> None:
    monkeypatch.setattr(judging_run, "FIRST_WRITTEN", 10)
    old = a_rule(steps=tags("eins", "zwei"))
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(20, before=occasion.anchors["start"]))
    await record(ledger, [occasion], [old])
    await judge_until_killed(ledger, old, source)
    assert await rows(ledger, "SELECT count(*) FROM handoff.verdicts") == [(10,)]
    before = await rows(ledger, BATCHES)
    assert await what(ledger, new) == {"d1": "in_hand"}
    assert await rows(ledger, BATCHES) == before
    sent: list[str] = []
    target = MemoryTarget(before=lambda call: sent.append(call.step.model_dump()["tag"]))
    assert await judge_due(ledger, old, source) == ["judged"]
    await work(ledger, old, desk_of(ledger, {"klicktipp_default": target}))
    assert sorted(sent) == ["eins"] * 20 + ["zwei"] * 20


async def test_what_a_cancelled_occasion_had_stays_cancelled(ledger: AsyncEngine) -> None:
    gone = an_occasion(start=START, key="a", series="A", changed=2.0, cancelled=True)
    await record(ledger, [*dates(), gone], [OLD])
    assert await what(ledger, LATER) == {"b": "moved"}


async def test_a_moment_that_has_passed_is_said(ledger: AsyncEngine) -> None:
    ended = an_occasion(start=datetime.now(UTC) - timedelta(days=9), key="a", series="A")
    await record(ledger, [ended], [a_rule(when={"days": 30, "after": "end"})])
    one = (await changes(ledger, a_rule()))["a"]
    assert (one.what, one.past) == ("moved", True)
    source = FixedSource(ended, some_registrations(2))
    assert await judge_due(ledger, a_rule(), source) == ["held"]


async def test_what_was_given_by_hand_is_left_alone(ledger: AsyncEngine) -> None:
    await hand_over(ledger, OLD, key="k", people=[Contact("a@example.org")], title="Test")
    assert await what(ledger, LATER) == {}


async def test_the_command(ledger: AsyncEngine, ledger_url: str, tmp_path: Path) -> None:
    await record(ledger, dates(), [OLD])
    file = tmp_path / "test_rule.yaml"
    file.write_text(json.dumps(LATER.model_dump(mode="json")), "utf-8")
    shown = (await handoff(ledger_url, "rejudge", "test_rule", file, "--json")).json
    assert (shown["applied"], {one["what"] for one in shown["changes"]}) == (False, {"moved"})
    assert shown["changes"][0]["due_after"] == (START + timedelta(hours=3)).isoformat()
    said = await handoff(ledger_url, "rejudge", "test_rule", file, "--apply")
    assert said.out.splitlines()[-1] == "Done: 2 moved"
    again = await handoff(ledger_url, "rejudge", "test_rule", file)
    assert again.out == "Nothing was changed; with --apply: 2 unchanged\n"
    wrong = await handoff(ledger_url, "rejudge", "other", file)
    assert (wrong.status, "test_rule, not other" in wrong.err) == (2, True)
    assert (await handoff(ledger_url, "rejudge", "no_such_rule")).status == 2
