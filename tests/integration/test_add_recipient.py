"""People named by hand: in the trigger form and by the command, with the same lines."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.delivery.by_hand import ByHand
from handoff.recipients import MOST, UnusableLine, recipients
from handoff.rules.rule import Rule
from tests.support.commands import handoff
from tests.support.delivery import desk_of, judge_due, work
from tests.support.domain import a_rule
from tests.support.rows import rows
from tests.support.targets import MemoryTarget
from tests.support.tasks import Vendors, run_dag

RULE = "id: mine\ntitle: Mine\nwhen: {days: 30, before: start}\nwho: attended\nsteps: [{step: klicktipp.tag, tag: T}]\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rules = tmp_path / "include" / "handoffs"
    rules.mkdir(parents=True)
    (rules / "mine.yaml").write_text(RULE, "utf-8")
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    return tmp_path


def test_lines_with_and_without_names() -> None:
    text = """
        Eva Maria Müller <Eva@Example.org>,
        bert@example.org;
        "Dr. Öz, Anna" <anna@example.org>
        EVA@example.org
    """
    assert recipients(text, "en") == [
        Contact("eva@example.org", "Eva Maria", "Müller", language="en"),
        Contact("bert@example.org", language="en"),
        Contact("anna@example.org", "Dr. Öz,", "Anna", language="en"),
    ]


@pytest.mark.parametrize("line", ["eva@@example.org", "Eva", "Eva <>", "eva@example.org bert@example.org"])
def test_a_line_that_cannot_be_used_is_named_by_its_number(line: str) -> None:
    with pytest.raises(UnusableLine, match=r"^line 2 of the recipients cannot be used") as caught:
        recipients(f"anna@example.org\n{line}", "de")
    assert "eva@" not in str(caught.value).replace("eva@example.org>", "")


def test_too_many() -> None:
    text = "\n".join(f"p{number}@example.org" for number in range(MOST + 1))
    with pytest.raises(UnusableLine, match="more than 500"):
        recipients(text, "de")


async def test_the_command_hands_over_at_once_and_the_same_key_only_once(
    ledger: AsyncEngine, ledger_url: str, folder: Path
) -> None:
    file = folder / "people.txt"
    file.write_text("Bert Beispiel <bert@example.org>\n", "utf-8")
    words = ("add-recipient", "mine", "Eva Muster <eva@example.org>", "--file", file, "--key", "summer", "--json")
    assert (await handoff(ledger_url, *words)).json == {
        "rule": "mine", "recipients": 2, "added": True, "occasion": "mine/summer", "will_be_skipped": {},
    }  # fmt: skip
    rule = a_rule(
        id="mine", who="attended", when={"days": 30, "before": "start"}, steps=[{"step": "klicktipp.tag", "tag": "T"}]
    )
    assert await judge_due(ledger, rule, ByHand()) == ["judged"]
    target = MemoryTarget()
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    assert sorted(email for email, _ in target.effects) == ["bert@example.org", "eva@example.org"]
    assert (await handoff(ledger_url, *words)).json["added"] is False
    assert await judge_due(ledger, rule, ByHand()) == []


async def test_the_moments_that_texts_show(ledger: AsyncEngine, ledger_url: str) -> None:
    given = ("--moment", "start=2026-11-20T18:00:00+01:00")
    assert (await handoff(ledger_url, "add-recipient", "mine", "eva@example.org", *given)).status == 0
    [(anchors,)] = await rows(ledger, "SELECT anchors FROM handoff.occasions")
    assert datetime.fromisoformat(anchors["start"]) == datetime(2026, 11, 20, 17, tzinfo=UTC)
    assert set(anchors) == {"start", "end"}


async def test_a_survey_to_the_own_address_needs_the_notice_and_the_command_says_so(
    ledger: AsyncEngine, ledger_url: str, folder: Path, project: Path
) -> None:
    shipped = (project / "include" / "handoffs" / "customer_survey.yaml").read_text("utf-8")
    (folder / "include" / "handoffs" / "customer_survey.yaml").write_text(shipped, "utf-8")
    survey, target = Rule.model_validate(yaml.safe_load(shipped)), MemoryTarget(readable=False)

    async def by_hand(*words: str) -> str:
        told = (await handoff(ledger_url, "add-recipient", "customer_survey", *words)).out
        await judge_due(ledger, survey, ByHand())
        await work(ledger, survey, desk_of(ledger, {"smtp_default": target}))
        return told

    told = await by_hand("you@example.org", "bert@example.org")
    assert "2 of 2 will be skipped: no_objection_notice" in told
    command = "handoff consent ADDRESS --notice survey --wording TEXT --source WHERE"
    assert command in told
    assert command in survey.docs
    ends = "SELECT state, reason FROM handoff.effects ORDER BY id"
    assert await rows(ledger, ends) == [("skipped", "no_objection_notice")] * 2
    added = command.replace("ADDRESS", "you@example.org").removeprefix("handoff ").split()
    assert (await handoff(ledger_url, *added)).status == 0
    assert "will be skipped" not in await by_hand("you@example.org")
    assert [email for email, _ in target.effects] == ["you@example.org"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing", "eva@example.org"), "has the rule nothing; see: handoff list, handoff lint"),
        (("mine",), "name at least one recipient"),
        (("mine", "eva@@"), "line 1 of the recipients cannot be used: invalid_email"),
        (("mine", "--file", "no_such_file"), "no_such_file cannot be read"),
        (("mine", "eva@example.org", "--moment", "start"), "--moment start: write it once, as start=2026"),
        (("mine", "eva@example.org", "--moment", "start=morgen"), "--moment start is no date and time; write it like"),
        (("mine", "eva@example.org", "--moment", "end=2026-11-20T18:00"), "--moment end has no time zone"),
        (
            ("mine", "eva@example.org", "--moment", "strat=2026-11-20T18:00Z"),
            "mine has no moment 'strat'; did you mean 'start'?",
        ),
        (
            ("mine", "eva@example.org", "--moment", "start=2026-11-20T18:00Z", "--moment", "end=2026-11-20T17:00Z"),
            "--moment end is before --moment start",
        ),
    ],
)
async def test_a_command_that_cannot_be_used(
    ledger: AsyncEngine, ledger_url: str, words: tuple[str, ...], said: str
) -> None:
    answer = await handoff(ledger_url, "add-recipient", *words)
    assert answer.status == 2
    assert said in answer.err
    assert await rows(ledger, "SELECT count(*) FROM handoff.batches") == [(0,)]


async def test_the_form_takes_several(ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = MemoryTarget()
    Vendors(monkeypatch, ledger_url, target, None)
    form: dict[str, Any] = {"mode": "one_contact", "recipients": "Eva <eva@example.org>\nbert@example.org"}
    await run_dag(a_rule(), "run-1", **form)
    assert sorted(email for email, _ in target.effects) == ["bert@example.org", "eva@example.org"]
    with pytest.raises(AirflowFailException, match="line 2 of the recipients"):
        await run_dag(a_rule(), "run-2", **form | {"recipients": "eva@example.org\nnobody"})
    assert len(target.effects) == 2
