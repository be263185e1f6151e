"""Every order in which an appointment's life can reach the ledger: nobody is handed over for what is cancelled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.appointment import event_of
from handoff.occasion import Occasion
from handoff.planning.appointments import glimpsed
from tests.support.appointment_life import KEY, WORDS, Life

LONGEST = 5


class Ledger:
    """Keeps the newest report of each occasion, as the ledger does."""

    def __init__(self) -> None:
        self.occasions: dict[str, Occasion] = {}

    @property
    def known(self) -> Occasion | None:
        return self.occasions.get(KEY)

    def record(self, reports: Iterable[Occasion]) -> None:
        for one in reports:
            known = self.occasions.get(one.key)
            if known is None or known.changed <= one.changed:
                self.occasions[one.key] = one


def effects(life: Life, ledger: Ledger) -> list[datetime]:
    """Return the starts that a rule acts on whose moment is now: after one last look, which is recorded."""
    known, shown = ledger.known, life.shown()
    if known is None or known.cancelled or shown is None:
        return []
    found = glimpsed(shown, known, life.account, life.now)
    ledger.record([found])
    return [found.anchors["start"]]


def stories() -> Iterator[tuple[str, ...]]:
    for length in range(1, LONGEST + 1):
        yield from product(WORDS, repeat=length)


def check(story: Sequence[str], *, prompt: bool, reach: int) -> None:
    """Compare what is known, and what is done, with what is so: after each word, and when all has arrived."""
    life, ledger = Life(prompt, reach=reach), Ledger()
    for word in story:
        ledger.record(life.tell(word))
        if word == "due":
            done = effects(life, ledger)
            assert not (life.over and done), f"{story}: its cancellation was known"
            life.done += tuple(done)
        ledger.record(life.polled(ledger.known))
        life.learn(ledger.known)
    for _ in range(2):
        # The first one may be interrupted.
        ledger.record(life.tell("late"))
        ledger.record(life.polled(ledger.known))
    assert effects(life, ledger) == ([life.start] if life.truth else []), f"{story}: its final moment has come"
    known = ledger.known
    assert (known is None) == (life.last is None), story
    if known is None:
        return
    assert known.cancelled == (life.truth is None), story
    assert life.truth is None or known.anchors["start"] == life.truth.start, story
    happened = [event_of(one) for one in ledger.occasions.values()]
    assert happened.count("created") == 1, story
    assert happened.count("deleted") <= (life.truth is None), story
    assert happened.count("modified") <= list(story).count("move"), story


@pytest.mark.parametrize("reach", [0, 1])
@pytest.mark.parametrize("prompt", [True, False])
def test_every_story_up_to_five_words(prompt: bool, reach: int) -> None:
    told = list(stories())
    assert len(told) == sum(len(WORDS) ** length for length in range(1, LONGEST + 1))
    for story in told:
        check(story, prompt=prompt, reach=reach)


@given(st.lists(st.sampled_from(WORDS), min_size=6, max_size=30), st.booleans(), st.integers(0, 1))
def test_longer_stories(story: list[str], prompt: bool, reach: int) -> None:
    check(story, prompt=prompt, reach=reach)
