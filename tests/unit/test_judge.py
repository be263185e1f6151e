"""The chaos kit's judge knows what became of a batch of which only a part was judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chaos.case import Broken
from chaos.evidence import Evidence, Rows
from chaos.judge import judge
from chaos.story import Date, Entry, Plan, RuleLine, Story

FIRST, LATER = Plan(0.0, 2.0, 122.0), Plan(2.5, 8.0, 128.0)
CANCELLED = Plan(2.5, 2.0, 122.0, cancelled=True)
RULE = RuleLine("r0", "A", "registered", "start", 0, ("kt",))
PEOPLE = tuple(Entry(f"p{n}", f"p{n}@example.org", -600.0 + n) for n in range(3))
PART, ALL = ("p0@example.org", "p1@example.org"), tuple(entry.email for entry in PEOPLE)


def story(*plans: Plan) -> Story:
    """Return a story of three people and one rule, which is due at 2.0, at 8.0 when the date is moved."""
    return Story(seed=0, dates=(Date("d0", "A", plans, PEOPLE),), rules=(RULE,))


def batch(number: int, due: float, state: str, reason: str = "") -> dict[str, Any]:
    return {"id": number, "rule_id": "r0", "key": "d0", "state": state, "reason": reason, "due": due,
            "judged_at": due + 0.6, "anew": False}  # fmt: skip


def left(*rounds: tuple[dict[str, Any], tuple[str, ...], Rows]) -> Evidence:
    """Return what is left of rounds, each a batch, who of it was judged and its certificate; everything took place."""
    handed = [(one, email) for one, emails, _ in rounds for email in emails]
    verdicts = [{"batch_id": one["id"], "ref": email, "email": email, "included": True, "reason": "included",
                 "has_facts": True, "read_at": one["due"]} for one, email in handed]  # fmt: skip
    effects = [{"batch_id": one["id"], "handoff_id": n, "position": n, "email": email, "step_no": 0, "reason": "",
                "state": "confirmed", "lane_id": n, "lane_held": None, "message_id": None, "intent_at": one["due"],
                "settled_at": one["due"] + 0.1} for n, (one, email) in enumerate(handed)]  # fmt: skip
    seen = [{"seq": n, "at": one["due"] + 0.1, "system": "klicktipp", "action": "tag", "contact": email,
             "detail": {"tag": "r0.0"}} for n, (one, email) in enumerate(handed)]  # fmt: skip
    ledger: dict[str, Rows] = {
        "occasions": [], "inbox": [], "verdicts": verdicts, "effects": effects,
        "batches": [one for one, _, _ in rounds],
        "certificates": [{"batch_id": one["id"], **paper} for one, _, papers in rounds for paper in papers],
    }  # fmt: skip
    return Evidence(0.0, 10.0, [], ledger, seen, {}, [])


def paper(handled: int, **excluded: int) -> Rows:
    return [{"listed": 3, "handled": handled, "excluded": excluded, "pending": 0, "even": True}]


def cancelled_in_part() -> Evidence:
    return left((batch(1, 2.0, "cancelled", "occasion_cancelled"), PART, paper(2, occasion_cancelled=1)))


def moved_in_part() -> Evidence:
    return left(
        (batch(1, 2.0, "cancelled", "occasion_moved"), PART, paper(2, occasion_moved=1)),
        (batch(2, 8.0, "judged"), ALL, paper(3)),
    )


def promises(broken: list[Broken]) -> set[int]:
    return {one.promise for one in broken}


def test_a_part_of_a_batch_is_handed_over_and_the_rest_cancelled() -> None:
    assert judge(story(FIRST, CANCELLED), cancelled_in_part()) == []


def test_a_part_of_a_batch_is_handed_over_and_everybody_for_the_new_time() -> None:
    assert judge(story(FIRST, LATER), moved_in_part()) == []


def test_a_round_that_ended_because_the_date_was_moved_back_is_no_loss() -> None:
    evidence = left(
        (batch(1, 2.0, "judged"), ALL, paper(3)), (batch(2, 8.0, "cancelled", "moved_back"), (), []),
    )  # fmt: skip
    assert judge(story(FIRST, LATER), evidence) == []


def test_who_had_no_verdict_when_it_was_cancelled_is_not_handed_over() -> None:
    evidence = cancelled_in_part()
    broken = judge(story(FIRST, CANCELLED), replace(evidence, ledger=evidence.ledger | {
        "verdicts": evidence.rows("verdicts", email=PART[0]),
    }))  # fmt: skip
    assert promises(broken) == {3, 6}


@pytest.mark.parametrize("table", ["effects", "certificates"])
def test_the_part_is_neither_lost_nor_uncertified(table: str) -> None:
    evidence = cancelled_in_part()
    broken = judge(story(FIRST, CANCELLED), replace(evidence, ledger=evidence.ledger | {table: []}))
    assert promises(broken) == {6}


def test_the_rest_is_in_the_certificate() -> None:
    evidence = left((batch(1, 2.0, "cancelled", "occasion_cancelled"), PART, paper(2)))
    assert promises(judge(story(FIRST, CANCELLED), evidence)) == {6}


def test_nobody_is_handed_over_twice_for_one_round() -> None:
    evidence = cancelled_in_part()
    again = [effect | {"seq": effect["seq"] + 10} for effect in evidence.effects]
    broken = judge(story(FIRST, CANCELLED), replace(evidence, effects=[*evidence.effects, *again]))
    assert promises(broken) == {2}


def test_a_part_of_a_batch_may_only_be_left_when_the_date_was_cancelled_or_moved() -> None:
    assert promises(judge(story(FIRST), cancelled_in_part())) == {6}


def test_a_moved_date_has_a_round_of_its_own() -> None:
    one = (batch(1, 2.0, "cancelled", "occasion_moved"), PART, paper(2, occasion_moved=1))
    assert promises(judge(story(FIRST, LATER), left(one))) == {6}
    waiting = (batch(1, 2.0, "waiting"), PART, paper(2, occasion_moved=1))
    assert promises(judge(story(FIRST, LATER), left(waiting, (batch(2, 8.0, "judged"), ALL, paper(3))))) == {6}


def test_what_was_handed_over_for_the_old_time_is_not_moved_to_the_new_one() -> None:
    evidence = moved_in_part()
    judged = [one | {"due": 8.0} for one in evidence.rows("batches")]
    broken = judge(story(FIRST, LATER), replace(evidence, ledger=evidence.ledger | {"batches": judged[:1]}))
    assert 3 in promises(broken)
