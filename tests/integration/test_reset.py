"""A contact that passes through a rule again because a person said so: command, trigger form, explanation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.ledger import resets
from handoff.ledger.erasure import erase
from handoff.ledger.retention import Periods, apply
from handoff.rules.file import RuleFile
from handoff.rules.rule import Rule
from operators.rule_dag import build_dag
from tests.integration.test_reentry import AGAIN, NOT_AGAIN, people, sent, the_rule, webinar
from tests.support.commands import Said, handoff
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget
from tests.support.tasks import Vendors, run_dag

PERSON, OTHER = (Contact(f"person{number}@example.org") for number in range(2))
RESETS = "SELECT contact_key, rule_id, by, because FROM handoff.resets ORDER BY id"
YAML = """id: test_rule
title: Test rule
when: {minutes: 0, after: end}
who: registered
again: never
steps:
  - {step: klicktipp.tag, tag: besucht}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rules of its own: ``test_rule``, as ``the_rule`` makes it."""
    folder = tmp_path / "include" / "handoffs"
    folder.mkdir(parents=True)
    (folder / "test_rule.yaml").write_text(YAML)
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    return folder


async def reset(ledger: AsyncEngine, rule: Rule, *contacts: Contact) -> None:
    async with ledger.begin() as connection:
        await resets.add(connection, [one.key for one in contacts], rule.id, by="Eva", because="asked for it")


@pytest.mark.parametrize("again", ["never", {"days": 90}])
async def test_what_was_handed_over_before_does_not_count_and_what_comes_after_does(
    ledger: AsyncEngine, again: Any
) -> None:
    rule = the_rule(again)
    assert await webinar(ledger, rule, "w0", 50) == AGAIN
    assert await sent(ledger, rule) == 1
    assert await webinar(ledger, rule, "w1", 40) == NOT_AGAIN
    await reset(ledger, rule, PERSON)
    assert await webinar(ledger, rule, "w2", 30) == AGAIN
    assert await sent(ledger, rule) == 1
    assert await webinar(ledger, rule, "w3", 20) == NOT_AGAIN


async def test_only_this_contact_and_this_rule(ledger: AsyncEngine) -> None:
    rule, another = the_rule("never"), the_rule("never", id="another")
    await webinar(ledger, rule, "w0", 50, people(2))
    await webinar(ledger, another, "v0", 49, people(2))
    await reset(ledger, rule, OTHER)
    await webinar(ledger, rule, "w1", 40, people(2))
    await webinar(ledger, another, "v1", 39, people(2))
    query = """
        SELECT contact.key FROM handoff.verdicts AS verdict JOIN handoff.batches AS batch ON batch.id = batch_id
        JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
        JOIN handoff.contacts AS contact ON contact.id = verdict.contact_id
        WHERE verdict.included AND occasion.key IN ('w1', 'v1')
    """
    assert await rows(ledger, query) == [(OTHER.key,)]


async def test_the_command_and_what_explain_says(ledger: AsyncEngine, ledger_url: str, home: Path) -> None:
    rule = the_rule("never")
    await webinar(ledger, rule, "w0", 50)
    why = ("--by", "Eva", "--because", "asked for it by phone")
    done = await handoff(ledger_url, "reset", PERSON.email, "test_rule", *why, "--json")
    expected = {"contact": PERSON.key, "rule": "test_rule", "handed_over_before": 1, "again": "never"}
    assert (done.status, done.json) == (0, expected)
    assert await rows(ledger, RESETS) == [(PERSON.key, "test_rule", "Eva", "asked for it by phone")]
    told: Said = await handoff(ledger_url, "explain", PERSON.email)
    assert "Reset for test_rule at 20" in told.out
    assert "by Eva: asked for it by phone" in told.out
    [listed] = (await handoff(ledger_url, "explain", PERSON.email, "--json")).json["resets"]
    assert (listed["rule"], listed["by"], listed["because"]) == ("test_rule", "Eva", "asked for it by phone")
    assert await webinar(ledger, rule, "w1", 10) == AGAIN


async def test_what_cannot_be_reset(ledger: AsyncEngine, ledger_url: str, home: Path) -> None:
    wrong = await handoff(ledger_url, "reset", PERSON.email, "tset_rule")
    assert (wrong.status, "has the rule tset_rule; see: handoff list" in wrong.err) == (2, True)
    async with ledger.begin() as connection:
        await erase(connection, PERSON.key)
    gone = await handoff(ledger_url, "reset", PERSON.email, "test_rule")
    assert (gone.status, "erased" in gone.err) == (2, True)
    assert PERSON.email not in wrong.err + gone.err
    assert await rows(ledger, RESETS) == []


async def test_a_rule_that_hands_over_per_occasion_says_so(ledger: AsyncEngine, ledger_url: str, home: Path) -> None:
    (home / "test_rule.yaml").write_text(YAML.replace("again: never\n", ""))
    assert "once per occasion anyway" in (await handoff(ledger_url, "reset", PERSON.email, "test_rule")).out
    (home / "test_rule.yaml").write_text(YAML)
    assert "anyway" not in (await handoff(ledger_url, "reset", PERSON.email, "test_rule")).out


FORM = {"mode": "reset", "email": " Person0@Example.org ", "recipients": "Neu <neu@example.org>"}
NEW = Contact("neu@example.org")


async def test_the_form_resets_and_sends_nothing(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule, target = the_rule("never"), MemoryTarget()
    await webinar(ledger, rule, "w0", 50, people(2))
    Vendors(monkeypatch, ledger_url, target, None)
    assert await webinar(ledger, rule, "w1", 10) == NOT_AGAIN
    # What was planned at the first webinar waits, and goes on waiting: this run is for the reset alone.
    planned = await rows(ledger, "SELECT id, state FROM handoff.effects ORDER BY id")
    assert await run_dag(rule, "run-7", **FORM) == []
    assert target.effects == []
    assert await rows(ledger, "SELECT id, state FROM handoff.effects ORDER BY id") == planned
    assert await rows(ledger, "SELECT count(*) FROM handoff.occasions WHERE source = 'manual'") == [(0,)]
    because = "trigger form, run run-7"
    expected = sorted((key, "test_rule", "", because) for key in (PERSON.key, NEW.key))
    assert sorted(await rows(ledger, RESETS)) == expected
    assert await webinar(ledger, rule, "w2", 5) == AGAIN


async def test_a_test_with_the_form_resets_nobody(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule, target = the_rule("never"), MemoryTarget()
    await webinar(ledger, rule, "w0", 50)
    await sent(ledger, rule)
    Vendors(monkeypatch, ledger_url, target, None)
    await run_dag(rule, "run-7", **FORM | {"mode": "one_contact"})
    assert [email for email, _ in target.effects] == [PERSON.email, NEW.email]
    assert await rows(ledger, RESETS) == []
    assert await webinar(ledger, rule, "w1", 10) == NOT_AGAIN


async def test_the_form_resets_all_or_nobody(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Vendors(monkeypatch, ledger_url, MemoryTarget(), None)
    async with ledger.begin() as connection:
        await erase(connection, PERSON.key)
    with pytest.raises(AirflowFailException, match="the data of 1 of these 2 contacts was erased") as caught:
        await run_dag(the_rule("never"), **FORM)
    assert "@" not in str(caught.value)
    assert await rows(ledger, RESETS) == []


def test_a_reset_leaves_no_later_task_to_send(project: Path) -> None:
    dag = build_dag(RuleFile(project / "test_rule.yaml", the_rule("never"), YAML))
    assert dag.get_task("gather").get_flat_relative_ids(upstream=False) == {"deliver", "settle", "certify"}


@pytest.mark.parametrize(("again", "said"), [("per_occasion", True), ("never", False), ({"days": 90}, False)])
def test_the_form_says_where_a_reset_changes_nothing(project: Path, again: Any, said: bool) -> None:
    mode = build_dag(RuleFile(project / "test_rule.yaml", the_rule(again), YAML)).params.get_param("mode")
    assert ("once per occasion anyway" in mode.schema["description_md"]) == said


async def test_an_erasure_and_the_retention_know_them(ledger: AsyncEngine) -> None:
    rule = the_rule("never")
    await webinar(ledger, rule, "w0", 50, people(2))
    await reset(ledger, rule, PERSON, OTHER)
    async with ledger.begin() as connection:
        await erase(connection, OTHER.key)
    assert await rows(ledger, RESETS) == [(PERSON.key, "test_rule", "Eva", "asked for it")]
    await change(ledger, "UPDATE handoff.verdicts SET judged_at = judged_at - interval '2 years'")
    await change(ledger, "UPDATE handoff.resets SET at = at - interval '366 days'")
    async with ledger.begin() as connection:
        assert (await apply(connection, Periods()))["resets"] == 1
    assert await rows(ledger, RESETS) == [(PERSON.key, "test_rule", "", "")]
    assert await webinar(ledger, rule, "w1", 10) == AGAIN
