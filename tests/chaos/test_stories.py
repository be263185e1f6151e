"""A short part of the chaos kit: seeded stories, and one planted mistake that they must catch."""

from __future__ import annotations

import pytest

from chaos.author import write
from chaos.mutants import MUTANTS
from chaos.mutate import hunt
from chaos.play import Played, Troupe, report

pytestmark = pytest.mark.chaos

SEEDS = (3, 5, 9, 10, 12, 16)


def test_no_story_breaks_a_promise() -> None:
    played: list[Played] = []
    with Troupe(3) as troupe:
        troupe.play_all([write(seed) for seed in SEEDS], played.append)
    assert len(played) == len(SEEDS)
    broken = [report(one, one) for one in played if one.broken]
    assert not broken, "\n".join(broken)


def test_a_planted_mistake_is_caught() -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name.startswith("settle skipped"))
    _, words = hunt(mutant)
    assert "lost answers: promise 2" in words
