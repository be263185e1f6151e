"""What ratings add up to."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.answer import RATINGS, Figures, UnusableAnswer, figures, kind_of, rating_of

ratings = st.lists(st.sampled_from(RATINGS), max_size=300)


def nps(given_ratings: list[int]) -> int | None:
    return figures(0, Counter(given_ratings)).nps


@given(ratings)
def test_everybody_who_answered_is_of_one_kind(answers: list[int]) -> None:
    counted = figures(7, Counter(answers))
    assert (counted.answered, counted.asked) == (len(answers), 7)
    assert counted.promoters == sum(rating >= 9 for rating in answers)
    assert counted.detractors == sum(rating <= 6 for rating in answers)
    assert (counted.nps is None) == (not answers)


@given(ratings.filter(bool))
def test_the_nps_is_the_difference_of_the_shares_to_the_nearest_whole(answers: list[int]) -> None:
    promoters, detractors = (sum(map(test, answers)) for test in (lambda r: r >= 9, lambda r: r <= 6))
    exact = Fraction(100 * (promoters - detractors), len(answers))
    found = nps(answers)
    assert found is not None
    assert -100 <= found <= 100
    assert abs(found - exact) <= Fraction(1, 2)
    if abs(found - exact) == Fraction(1, 2):
        assert abs(found) > abs(exact)


@given(ratings.filter(bool))
def test_it_turns_its_sign_when_promoters_and_detractors_change_places(answers: list[int]) -> None:
    mirrored = [{"promoters": 0, "passives": 8, "detractors": 10}[kind_of(rating)] for rating in answers]
    found, other = nps(answers), nps(mirrored)
    assert found is not None
    assert other == -found


@given(ratings, st.sampled_from(RATINGS))
def test_one_better_answer_never_lowers_it(answers: list[int], rating: int) -> None:
    worse, better = nps([*answers, rating]), nps([*answers, min(10, rating + 1)])
    assert worse is not None
    assert better is not None
    assert better >= worse


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((1, 0, 7), -75), ((9, 0, 7), 13), ((7, 0, 9), -13), ((1, 1, 1), 0), ((2, 1, 0), 67), ((0, 2, 1), -33)],
)
def test_halves_are_rounded_away_from_zero(counts: tuple[int, int, int], expected: int) -> None:
    # 2 of 16 are 12.5 %.
    assert Figures(0, *counts).nps == expected


def test_the_response_rate() -> None:
    assert Figures(0, 1).response_rate is None
    assert Figures(8, 1, 1).response_rate == 0.25


@pytest.mark.parametrize("text", ["", " ", "11", "-1", "sieben", "7.5", "7,0", "٧", "07", "1e1", "10 9", "+9"])
def test_what_is_no_rating(text: str) -> None:
    with pytest.raises(UnusableAnswer):
        rating_of(text)


@given(st.integers())
def test_only_whole_numbers_from_0_to_10_are_ratings(number: int) -> None:
    if number in RATINGS:
        assert rating_of(f" {number}\n") == number
    else:
        with pytest.raises(UnusableAnswer):
            kind_of(number)
