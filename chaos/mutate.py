"""``python -m chaos.mutate``: plants every mistake in a copy of the engine and looks whether a story breaks.

The work tree is never touched: the copy lives in a temporary folder.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from chaos.author import write
from chaos.case import CRASHED
from chaos.directed import STORIES
from chaos.mutants import MUTANTS, Edit, Mutant
from chaos.play import Played, Troupe, play_in_calm, say
from chaos.stage import CHECKOUT, open_stage
from chaos.story import Story

LEAST_SHARE = 0.95
SEEDED_STORIES, STAGES, TIMES = 20, 3, 3


class NotPlanted(Exception):
    """A mutation no longer fits the code: its original text is not there exactly once."""


def plant(edit: Edit, plugins: Path) -> None:
    """Make one change in a copy of the engine. :raises NotPlanted: it does not fit the code any more."""
    path = plugins / edit.file
    text = path.read_text(encoding="utf-8")
    if text.count(edit.original) != 1:
        raise NotPlanted(f"{edit.file}: {edit.original!r} occurs {text.count(edit.original)} times; write it anew")
    path.write_text(text.replace(edit.original, edit.replacement), encoding="utf-8")


@contextmanager
def engine_with(mutant: Mutant | None, engine: Path = CHECKOUT / "plugins") -> Iterator[Path]:
    """Give the folder of a copy of the engine with one mistake in it, or with none."""
    with tempfile.TemporaryDirectory(prefix="handoff-mutant-") as folder:
        plugins = Path(folder) / "plugins"
        shutil.copytree(engine, plugins, ignore=shutil.ignore_patterns("__pycache__"))
        for edit in mutant.edits if mutant else ():
            plant(edit, plugins)
        yield plugins


def hunt(mutant: Mutant, engine: Path = CHECKOUT / "plugins", unsound: Collection[str] = ()) -> tuple[Mutant, str]:
    """Play stories until a promise breaks; return which story broke which, or nothing.

    That the mistake makes the engine raise an error is not enough, nor a story that breaks without it as well.

    :param engine: the engine without a mistake. :param unsound: stories that break with it.
    """
    with engine_with(mutant, engine) as plugins, open_stage(plugins) as stage:
        for name, story in stories_for(mutant):
            broken = [one for one in play_in_calm(stage, story) if CRASHED not in one.words]
            if broken and name not in unsound and (name in STORIES or not _breaks(engine, story)):
                return mutant, f"{name}: promise {broken[0].promise}: {broken[0].words}"
    return mutant, ""


def _breaks(engine: Path, story: Story) -> bool:
    with open_stage(engine) as stage:
        return any(play_in_calm(stage, story) for _ in range(TIMES))


def stories_for(mutant: Mutant) -> Iterator[tuple[str, Story]]:
    """Yield the mutant's own stories, some times over because much is left to chance, then seeded ones."""
    for _ in range(TIMES):
        yield from ((name, STORIES[name]) for name in mutant.stories)
    yield from ((f"seed {seed}", write(seed)) for seed in range(1, SEEDED_STORIES + 1))


def find_unsound(engine: Path, names: Collection[str]) -> dict[str, str]:
    """Play directed stories with the engine as it is; return what broke, by name: it says nothing of mutants."""
    played: list[Played] = []
    chosen = sorted(names)
    with Troupe(min(STAGES, len(chosen)), engine) as troupe:
        troupe.play_all([STORIES[name] for name in chosen], played.append)
    found = {name: one.broken for name, one in zip(chosen, played, strict=True)}
    return {name: f"promise {broken[0].promise}: {broken[0].words}" for name, broken in found.items() if broken}


def main() -> int:
    """Hunt every mutant; return 1 when fewer than 95 % are caught, or a directed story breaks without any."""
    options = _options()
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.name]
    began, caught = time.monotonic(), 0
    # One copy for all, so that somebody who works on the engine meanwhile does not disturb the hunt.
    with engine_with(None) as engine, ThreadPoolExecutor(options.stages) as hands:
        for mutant in chosen:
            # Before anything is played: a mistake that does not fit any more ends the hunt.
            with engine_with(mutant, engine):
                pass
        mine = {name for mutant in chosen for name in mutant.stories} if options.only else STORIES
        unsound = find_unsound(engine, mine)
        for name, words in unsound.items():
            say(f"broken without any mistake: {name}: {words}")
        for mutant, words in hands.map(partial(hunt, engine=engine, unsound=unsound), chosen):
            caught += bool(words)
            say(f"{'caught' if words else 'MISSED':<7} {mutant.name}{f' ({words})' if words else ''}")
    say(f"{time.monotonic() - began:.0f} s")
    say(f"caught {caught} of {len(chosen)}")
    return int(caught < LEAST_SHARE * len(chosen) or bool(unsound))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos.mutate", description="Hunts planted mistakes.")
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    parser.add_argument("--stages", type=int, default=STAGES, help=f"how many at a time (default: {STAGES})")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
