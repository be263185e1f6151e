"""``python -m chaos``: play stories; the last line counts them and the promises they broke."""

from __future__ import annotations

import argparse
import time

from chaos.airflow import AirflowStory, play_in_airflow
from chaos.author import write
from chaos.mutate import engine_with
from chaos.play import Played, Troupe, promises_broken, report, say
from chaos.story import Story

STAGES, SHORTENED = 4, 3
EVERY = 50
"""One story in so many is played in a real Airflow, which takes about two minutes."""


def main() -> int:
    """Play the stories; return 1 when one broke a promise."""
    options = _options()
    seeds = range(options.seed, options.seed + options.stories)
    in_airflow = [seed for seed in seeds if options.airflow and seed % options.airflow == 0]
    played = _play([write(seed) for seed in seeds if seed not in in_airflow], options.stages)
    for seed in in_airflow:
        began = time.monotonic()
        story = AirflowStory(seed)
        one = Played(story.story, play_in_airflow(story), time.monotonic() - began)
        say(f"story {seed} in Airflow: {'broken' if one.broken else 'kept'} after {one.seconds:.0f} s")
        if one.broken:
            say(report(one, one, " AIRFLOW=1") + f"  killed in Airflow: {story.kills}\n")
        played.append(one)
    broken = promises_broken(played)
    say(f"{len(played)} stories, {broken} promises broken")
    return int(broken > 0)


def _play(stories: list[Story], stages: int) -> list[Played]:
    played: list[Played] = []
    if not stories:
        return played
    began = time.monotonic()
    with engine_with(None) as engine, Troupe(min(stages, len(stories)), engine) as troupe:

        def ended(one: Played) -> None:
            played.append(one)
            if one.broken:
                say(f"story {one.story.seed} breaks promise {one.broken[0].promise}: {one.broken[0].words}")
            if len(played) % 25 == 0:
                say(f"{len(played)} stories in {time.monotonic() - began:.0f} s")

        troupe.play_all(stories, ended)
        for number, one in enumerate(one for one in played if one.broken):
            say(report(troupe.shorten(one) if number < SHORTENED else one, one))
    return played


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description="Plays stories against the engine.")
    parser.add_argument("--stories", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="of the first; the others count on from it (default: 1)")
    parser.add_argument(
        "--airflow", type=int, default=EVERY, help=f"one in so many in a real Airflow, 0: none (default: {EVERY})"
    )
    parser.add_argument("--stages", type=int, default=STAGES, help=f"how many at a time (default: {STAGES})")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
