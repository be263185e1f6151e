"""Plays stories on several stages at a time and tells what broke."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from chaos.case import Broken
from chaos.judge import judge
from chaos.shrink import shrink
from chaos.stage import CHECKOUT, Stage, open_stage
from chaos.story import Story, tell

SHRINK_SECONDS = 90.0
SHOWN = 8
STANDSTILL_SECONDS, TIMES = 1.0, 4


@dataclass(frozen=True, slots=True)
class Played:
    """A story that was played. :param broken: the promises it broke, empty when all were kept."""

    story: Story
    broken: list[Broken]
    seconds: float


def play_in_calm(stage: Stage, story: Story) -> list[Broken]:
    """Play a story and return what it broke; once more when the machine stood still meanwhile.

    Promises hold for a target that answers: one that is not let run for longer than it may take to show what it
    did is none. Workers that are not let run are no excuse.
    """
    broken: list[Broken] = []
    for _ in range(TIMES):
        evidence = stage.play(story)
        broken = judge(story, evidence)
        if not broken or evidence.slowest < STANDSTILL_SECONDS:
            break
        say(f"story {story.seed}: the sandbox did not run for {evidence.slowest:.1f} s; played again")
    return broken


class Troupe:
    """Some stages, each of which plays one story at a time."""

    def __init__(self, stages: int, plugins: Path = CHECKOUT / "plugins") -> None:
        self._count, self._plugins = stages, plugins
        self._free: SimpleQueue[Stage] = SimpleQueue()
        self._open = ExitStack()

    def __enter__(self) -> Troupe:
        with ThreadPoolExecutor(self._count) as hands:
            for stage in hands.map(lambda _: open_stage(self._plugins), range(self._count)):
                self._free.put(self._open.enter_context(stage))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def play(self, story: Story) -> Played:
        """Play one story on a free stage."""
        stage = self._free.get()
        try:
            began = time.monotonic()
            broken = play_in_calm(stage, story)
            return Played(story, broken, time.monotonic() - began)
        finally:
            self._free.put(stage)

    def play_all(self, stories: Sequence[Story], ended: Callable[[Played], None]) -> None:
        """Play stories as stages become free; ``ended`` is called for each, in the order of the stories."""
        with ThreadPoolExecutor(self._count) as hands:
            for played in hands.map(self.play, stories):
                ended(played)

    def shorten(self, played: Played, seconds: float = SHRINK_SECONDS) -> Played:
        """Return the failing story as short as it gets while one of the same promises breaks."""
        promises = {broken.promise for broken in played.broken}
        shortest = played

        def fails(story: Story) -> bool:
            nonlocal shortest
            again = self.play(story)
            if not promises & {broken.promise for broken in again.broken}:
                return False
            shortest = again
            return True

        shrink(played.story, fails, seconds)
        return shortest


def report(played: Played, first: Played, again: str = "") -> str:
    """Return what a failing story shows, and how to play it again, with ``again`` at the end of the command."""
    lines = [f"story {first.story.seed} broke: " + ", ".join(f"promise {n}" for n in _promises(first))]
    lines += [f"  {broken.promise}: {broken.words}" for broken in played.broken[:SHOWN]]
    if len(played.broken) > SHOWN:
        lines.append(f"  and {len(played.broken) - SHOWN} more")
    lines += ["shortened to:", tell(played.story), f"again: make chaos STORIES=1 SEED={first.story.seed}{again}", ""]
    return "\n".join(lines)


def _promises(played: Played) -> list[int]:
    return sorted({broken.promise for broken in played.broken})


def promises_broken(played: Sequence[Played]) -> int:
    """Count broken promises, each once a story."""
    return sum(len(_promises(one)) for one in played)


def say(words: str) -> None:
    """Print a line at once."""
    print(words, file=sys.stdout, flush=True)
