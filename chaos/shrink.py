"""Makes a failing story shorter: leaves things out as long as a promise still breaks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from chaos.story import Story

PARTS = ("blows", "faults", "reports", "dropped", "rules")
PLAIN: dict[str, Any] = {"latency": 0.0, "limit": None, "bulk": 0, "presence_lag": 0.0, "workers": 1, "quota": None}

Fails = Callable[[Story], bool]


def shrink(story: Story, fails: Fails, seconds: float) -> Story:
    """Return a shorter story that still fails, as short as it gets in so many seconds.

    :param fails: plays a story and tells whether it breaks a promise that the first one broke.
    """
    deadline = time.monotonic() + seconds
    shorter = True
    while shorter:
        shorter = False
        for candidate in _shorter(story):
            if time.monotonic() > deadline:
                return story
            if fails(candidate):
                story, shorter = candidate, True
                break
    return story


def _shorter(story: Story) -> Iterator[Story]:
    """Yield stories with one thing less, the biggest things first."""
    if len(story.dates) > 1:
        for number, date in enumerate(story.dates):
            reports = tuple(report for report in story.reports if report.date != date.id)
            yield replace(story, dates=_without(story.dates, number), reports=reports)
    for name in PARTS:
        things = getattr(story, name)
        if len(things) > (name == "rules"):
            for number in range(len(things)):
                yield replace(story, **{name: _without(things, number)})  # type: ignore[arg-type]
    for number, date in enumerate(story.dates):
        half = len(date.entries) // 2
        for kept in (date.entries[:half], date.entries[half:]) if half else ():
            fewer = replace(date, entries=kept)
            yield replace(story, dates=(*story.dates[:number], fewer, *story.dates[number + 1 :]))
    for name, value in PLAIN.items():
        alone = name == "workers" and any(blow.worker for blow in story.blows)
        if getattr(story, name) != value and not alone:
            yield replace(story, **{name: value})


def _without(things: tuple[Any, ...], number: int) -> tuple[Any, ...]:
    return (*things[:number], *things[number + 1 :])
