"""``handoff explain``: every rule that considered a person, and why they were or were not handed over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.errors import Refused
from handoff.ledger import registrations
from handoff.planning.planner import record
from handoff.registration import Registration, Roster
from handoff.rules.rule import Rule
from tests.support.chaos import tags
from tests.support.commands import handoff
from tests.support.delivery import desk_of, judge_due, work
from tests.support.domain import FixedSource, a_rule, an_occasion, stay
from tests.support.rows import change
from tests.support.targets import MemoryTarget

ENDED = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
STARTED = ENDED - timedelta(minutes=60)
ANNA, BERT = "anna.müller@example.org", "bert@example.org"


def entry(email: str, **changes: Any) -> Registration:
    values: dict[str, Any] = {"ref": email, "email": email, "registered_at": STARTED - timedelta(days=1)}
    return Registration(**values | changes)


WATCHED_ALL = entry(ANNA, presence=(stay(STARTED, 0.0, 60.0),))
WATCHED_A_LITTLE = entry(BERT, presence=(stay(STARTED, 0.0, 6.0),))


async def judged(ledger: AsyncEngine, rule: Rule, *people: Registration) -> None:
    occasion = an_occasion(start=STARTED)
    await record(ledger, [occasion], [rule])
    assert await judge_due(ledger, rule, FixedSource(occasion, people)) == ["judged"]


async def listed(ledger: AsyncEngine, *people: Registration) -> None:
    now = datetime.now(UTC)
    async with ledger.begin() as connection:
        await registrations.store(connection, 1, Roster(now, now, people))


async def explained(ledger_url: str, who: str) -> dict[str, Any]:
    said = await handoff(ledger_url, "explain", who, "--json")
    assert said.status == 0
    [rule] = said.json["rules"]
    return rule


async def test_who_was_handed_over(ledger: AsyncEngine, ledger_url: str) -> None:
    rule = a_rule(who="attended", steps=tags("eins", "zwei"))
    await judged(ledger, rule, WATCHED_ALL, WATCHED_A_LITTLE)
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": MemoryTarget()}))
    found = await explained(ledger_url, f" {ANNA.upper()} ")
    assert (found["rule"], found["rule_version"], found["rule_title"], found["who"]) == (
        "test_rule", 1, "Test rule", "attended"
    )  # fmt: skip
    assert found["occasion"]["title"] == "Webinar"
    assert datetime.fromisoformat(found["occasion"]["anchors"]["end"]) == ENDED
    [verdict] = found["verdicts"]
    assert (verdict["included"], verdict["reason"]) == (True, "attended")
    assert verdict["words"] == "handed over: counts as attended: watched 100 %, 50 % are needed"
    assert verdict["facts"]["watched_percent"] == 100
    assert datetime.fromisoformat(verdict["moment"]) == ENDED
    assert datetime.fromisoformat(verdict["read_at"]) > ENDED
    assert [(e["step_no"], e["step"], e["account"], e["state"], e["attempts"]) for e in found["effects"]] == [
        (1, "klicktipp.tag", "klicktipp_default", "confirmed", 1),
        (2, "klicktipp.tag", "klicktipp_default", "confirmed", 1),
    ]
    for effect in found["effects"]:
        assert effect["proof"]["number"] in {1, 2}
        assert datetime.fromisoformat(effect["intent_at"]) <= datetime.fromisoformat(effect["settled_at"])
    assert found["why_not"] is None


async def test_who_was_left_out_and_the_words_on_the_screen(ledger: AsyncEngine, ledger_url: str) -> None:
    await judged(ledger, a_rule(who="attended"), WATCHED_ALL, WATCHED_A_LITTLE)
    found = await explained(ledger_url, BERT)
    assert (found["verdicts"][0]["included"], found["effects"]) == (False, [])
    said = await handoff(ledger_url, "explain", BERT)
    assert said.status == 0
    assert "verdict   left out: counts as not attended: watched 10 %, 50 % are needed\n" in said.out
    assert "test_rule version 1 (for: attended)  Test rule\n" in said.out
    assert ANNA not in said.out


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ("waiting", "", "listed, not judged yet: waits for its moment (the moment has passed)"),
        ("waiting", "presence_late", "(the source has not reported presence up to the moment yet)"),
        ("held", "presence_never_arrived", "the whole batch is held (the source did not report presence up to"),
        ("cancelled", "occasion_cancelled", "the batch was cancelled (the occasion was cancelled)"),
        ("missed", "past_when_first_seen", "the batch was missed (the moment had passed more than an hour"),
        ("skipped", "late", "the batch was late and skipped (it was later than the rule's late_after allows)"),
        ("judged", "", "not judged: the entry was not in the source's list"),
    ],
)
async def test_why_not_yet(ledger: AsyncEngine, ledger_url: str, state: str, reason: str, words: str) -> None:
    await record(ledger, [an_occasion(start=STARTED)], [a_rule()])
    await listed(ledger, WATCHED_ALL)
    await change(ledger, "UPDATE handoff.batches SET state = :state, reason = :reason", state=state, reason=reason)
    found = await explained(ledger_url, ANNA)
    assert words in found["why_not"]
    assert (found["batch"]["state"], found["batch"]["reason"]) == (state, reason)
    assert words in (await handoff(ledger_url, "explain", ANNA)).out


async def test_who_registered_after_the_moment(ledger: AsyncEngine, ledger_url: str) -> None:
    await judged(ledger, a_rule(), WATCHED_ALL)
    await listed(ledger, entry(BERT, registered_at=ENDED + timedelta(seconds=5)))
    assert (await explained(ledger_url, BERT))["why_not"] == "left out: registered only after the moment"


async def test_why_an_effect_does_not_go_out(ledger: AsyncEngine, ledger_url: str) -> None:
    rule = a_rule(steps=tags("eins", "zwei"))
    await judged(ledger, rule, WATCHED_ALL)
    refusing = MemoryTarget(before=lambda call: Refused("klicktipp_default", "tag", "gesperrt"))
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": refusing}))
    refused, skipped = (await explained(ledger_url, ANNA))["effects"]
    assert (refused["state"], skipped["state"], skipped["reason"]) == ("refused", "skipped", "step 1 was refused")
    assert "gesperrt" in refused["reason"]
    await change(ledger, "UPDATE handoff.effects SET state = 'planned'")
    await change(ledger, "UPDATE handoff.lanes SET held = 'outcome unknown'")
    first, _ = (await explained(ledger_url, ANNA))["effects"]
    assert first["waits_for"] == f"lane {first['lane_id']} is held: outcome unknown"
    await change(ledger, "UPDATE handoff.lanes SET held = NULL, rests = 'account:klicktipp_default'")
    first, _ = (await explained(ledger_url, ANNA))["effects"]
    assert first["waits_for"].startswith("waits until account:klicktipp_default goes on")


async def test_every_rule_the_newest_first(ledger: AsyncEngine, ledger_url: str) -> None:
    early, late = a_rule(id="early", when={"minutes": 30, "before": "end"}), a_rule(id="late")
    occasion = an_occasion(start=STARTED)
    await record(ledger, [occasion, an_occasion(start=STARTED, key="d2")], [early, late])
    await listed(ledger, WATCHED_ALL)
    assert await judge_due(ledger, early, FixedSource(occasion, [WATCHED_ALL])) == ["judged", "judged"]
    said = await handoff(ledger_url, "explain", ANNA, "--json")
    found = [(rule["rule"], rule["occasion"]["key"], len(rule["verdicts"])) for rule in said.json["rules"]]
    assert found == [("late", "d2", 0), ("late", "d1", 0), ("early", "d2", 1), ("early", "d1", 1)]
    assert said.json["rules"][0]["why_not"].startswith("listed, not judged yet")


async def test_nobody_knows_them(ledger: AsyncEngine, ledger_url: str) -> None:
    said = await handoff(ledger_url, "explain", "nobody@example.org")
    assert (said.status, said.out[:34]) == (1, "Nothing is known of this person: n")
    said = await handoff(ledger_url, "explain", "nobody@example.org", "--json")
    nothing = {"known": False, "contact": None, "resets": [], "opt_ins": [], "awaited": [], "rules": []}
    assert (said.status, said.json) == (1, nothing)


@pytest.mark.parametrize("who", ["no address", "anna@", "0123456", "zzzzzzzzzzzz"])
async def test_neither_address_nor_key(ledger: AsyncEngine, ledger_url: str, who: str) -> None:
    said = await handoff(ledger_url, "explain", who)
    assert said.status == 2
    assert who not in said.err


async def test_by_the_beginning_of_the_key(ledger: AsyncEngine, ledger_url: str) -> None:
    await judged(ledger, a_rule(), WATCHED_ALL, WATCHED_A_LITTLE)
    key = Contact(email=ANNA).key
    for some in (key, key[:8], key[:12].upper()):
        said = await handoff(ledger_url, "explain", some, "--json")
        assert (said.json["contact"]["email"], len(said.json["rules"])) == (ANNA, 1)


async def test_two_people_whose_keys_begin_alike(ledger: AsyncEngine, ledger_url: str) -> None:
    await judged(ledger, a_rule(), WATCHED_ALL, WATCHED_A_LITTLE)
    await change(ledger, "UPDATE handoff.contacts SET key = '0123456789' || substr(key, 11)")
    said = await handoff(ledger_url, "explain", "0123456789")
    assert (said.status, said.out) == (2, "")
    assert "several contacts' keys begin with these digits" in said.err


async def test_who_was_erased(ledger: AsyncEngine, ledger_url: str) -> None:
    await change(ledger, "INSERT INTO handoff.erased (key) VALUES (:key)", key=Contact(email=ANNA).key)
    said = await handoff(ledger_url, "explain", ANNA)
    assert said.status == 0
    assert "only the key is left" in said.out
    assert ANNA not in said.out
    said = await handoff(ledger_url, "explain", ANNA, "--json")
    assert said.json["contact"]["erased_at"] is not None
