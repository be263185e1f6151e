"""Judging a list: every entry gets one verdict, every person at most one place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.ledger.registrations import Listed
from handoff.ledger.verdicts import Judged
from handoff.occasion import Occasion
from handoff.planning.judging import judge_list
from handoff.registration import Presence, Registration
from handoff.rules.rule import Rule
from tests.support.domain import START, a_rule, an_occasion, stay

END = START + timedelta(minutes=60)


def entry(number: int, contact: int | None, *presence: Presence, minutes: float = -60, unusable: str = "") -> Listed:
    registration = Registration(f"r{number:03}", "", START + timedelta(minutes=minutes), presence=presence)
    return Listed(registration, contact, f"key-{contact}" if contact else "", unusable)


def judged(listed: Sequence[Listed], rule: Rule | None = None, occasion: Occasion | None = None) -> list[Judged]:
    return list(judge_list(rule or a_rule(), occasion or an_occasion(), 7, END, listed))


def test_positions_are_those_of_the_list() -> None:
    found = judged([entry(1, 11), entry(2, None, unusable="no_email"), entry(3, 13)])
    assert [(one.ref, one.position, one.included, one.reason) for one in found] == [
        ("r001", 0, True, "registered"),
        ("r002", 1, False, "no_email"),
        ("r003", 2, True, "registered"),
    ]


def test_a_lane_for_each_contact_or_one_for_the_batch() -> None:
    listed = [entry(1, 11), entry(2, 12), entry(3, None, unusable="invalid_email")]
    assert [one.lane for one in judged(listed)] == ["key-11", "key-12", ""]
    assert [one.lane for one in judged(listed, a_rule(order="strict"))] == ["batch:7", "batch:7", ""]


def test_who_is_not_meant_has_no_lane_but_facts() -> None:
    [found] = judged([entry(1, 11, stay(START, 0, 10))], a_rule(who="attended"))
    assert (found.included, found.reason, found.lane) == (False, "not_attended", "")
    assert found.facts["watched_percent"] == pytest.approx(16.66)


def test_a_person_listed_twice_is_judged_by_all_stays_at_the_first_place() -> None:
    listed = [entry(1, 11, stay(START, 0, 20)), entry(2, 11, stay(START, 20, 40))]
    found = judged(listed, a_rule(who="attended"))
    assert [(one.ref, one.included, one.reason) for one in found] == [
        ("r001", True, "attended"),
        ("r002", False, "duplicate"),
    ]


def test_who_registered_again_after_the_moment_was_registered_before_it() -> None:
    found = judged([entry(1, 11, minutes=0), entry(2, 11, minutes=61)])
    assert [(one.included, one.reason) for one in found] == [(True, "registered"), (False, "duplicate")]


def test_by_hand_everybody_is_meant() -> None:
    [found] = judged([entry(1, 11)], a_rule(who="attended"), an_occasion(source="manual", account="manual"))
    assert (found.included, found.reason) == (True, "by_hand")


entries = st.lists(st.tuples(st.one_of(st.none(), st.integers(1, 6)), st.integers(-20, 70), st.integers(-20, 70)))


@given(entries, st.sampled_from([("online", "not_online"), ("attended", "not_attended")]), st.integers(-10, 70))
def test_two_halves_share_out_every_person_once(
    given_entries: list[tuple[int | None, int, int]], halves: tuple[str, str], minute: int
) -> None:
    listed = [
        entry(number, contact, stay(START, min(one, other), max(one, other)), unusable="" if contact else "no_email")
        for number, (contact, one, other) in enumerate(given_entries)
    ]
    moment = START + timedelta(minutes=minute)
    included = []
    for who in halves:
        found = list(judge_list(a_rule(who=who), an_occasion(), 7, moment, listed))
        assert [one.ref for one in found] == [one.registration.ref for one in listed]
        included += [one.contact_id for one in found if one.included]
    assert sorted(included) == sorted({contact for contact, _, _ in given_entries if contact})  # type: ignore[type-var]
