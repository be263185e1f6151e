"""What ``python -m chaos`` says in the end, of stories whose stage leaves nothing behind."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos import play
from chaos.__main__ import main
from chaos.author import write
from chaos.case import Broken
from chaos.evidence import Evidence
from chaos.play import Played, report
from chaos.story import Story, tell

TABLES = ("occasions", "batches", "verdicts", "effects", "certificates", "inbox")


class EmptyStage:
    """Plays nothing: whatever was to be handed over is lost."""

    def play(self, story: Story) -> Evidence:
        """Return that nothing took place."""
        return Evidence(0.0, 1.0, [], {name: [] for name in TABLES}, [], {}, [])


@contextmanager
def open_empty_stage(plugins: Path) -> Iterator[EmptyStage]:
    yield EmptyStage()


def all_cancelled(story: Story) -> bool:
    """Tell whether it may be that nothing takes place."""
    commands = {"freeze", "erase", "rejudge"} & {blow.kind for blow in story.blows}
    return all(date.last.cancelled for date in story.dates) and not commands


def first_seed(fits: Callable[[Story], bool]) -> int:
    return next(seed for seed in itertools.count(1) if fits(write(seed)))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[int], tuple[int, list[str]]]:
    """Play the story of a seed by the command; return its exit status and what it printed."""
    monkeypatch.setattr(play, "open_stage", open_empty_stage)

    def run(seed: int) -> tuple[int, list[str]]:
        monkeypatch.setattr("sys.argv", ["chaos", "--stories", "1", "--seed", str(seed), "--airflow", "0"])
        return main(), capsys.readouterr().out.splitlines()

    return run


def test_a_broken_promise_is_counted_and_fails(told: Callable[[int], tuple[int, list[str]]]) -> None:
    seed = first_seed(lambda story: not all_cancelled(story) and len(story.rules) > 1)
    status, lines = told(seed)
    assert (status, lines[-1]) == (1, "1 stories, 1 promises broken")
    shown = "\n".join(lines)
    assert f"story {seed} broke: promise 6" in shown
    assert f"again: make chaos STORIES=1 SEED={seed}" in lines
    assert "nothing was ever planned" in shown
    # It was shortened: one rule is enough for it.
    assert sum(line.startswith("  rule ") for line in lines) == 1


def test_kept_promises_are_counted_and_pass(told: Callable[[int], tuple[int, list[str]]]) -> None:
    status, lines = told(first_seed(all_cancelled))
    assert (status, lines) == (0, ["1 stories, 0 promises broken"])


def test_a_report_shows_the_seed_the_command_and_the_shortened_story() -> None:
    long = write(7)
    short = write(8)
    broken = [Broken(2, f"the mail {n} was sent 2 times") for n in range(20)]
    words = report(Played(short, broken, 1.0), Played(long, [*broken, Broken(6, "lost")], 1.0), " AIRFLOW=1")
    first, *rest = words.splitlines()
    assert first == "story 7 broke: promise 2, promise 6"
    assert "  2: the mail 0 was sent 2 times" in rest
    assert "  and 12 more" in rest
    assert f"shortened to:\n{tell(short)}\nagain: make chaos STORIES=1 SEED=7 AIRFLOW=1" in words
