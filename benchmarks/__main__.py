"""``python -m benchmarks [NAME]``: measure and print a table; exit 1 when a bar is missed."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

from benchmarks.explain import explain_million
from benchmarks.figure import Figure
from benchmarks.first_effect import first_effect
from benchmarks.last_look import last_look
from benchmarks.parsing import parsing_100
from benchmarks.rate_limit import rate_limit
from benchmarks.receiver import receiver
from benchmarks.throughput import throughput_1000, throughput_10000
from benchmarks.waiting import waiting_100000

MEASURES: dict[str, Callable[[], list[Figure]]] = {
    "throughput_1000": throughput_1000,
    "throughput_10000": throughput_10000,
    "first_effect": first_effect,
    "last_look": last_look,
    "rate_limit": rate_limit,
    "waiting_100000": waiting_100000,
    "parsing_100": parsing_100,
    "explain_million": explain_million,
    "receiver": receiver,
}


def main(names: list[str]) -> int:
    """Measure the named figures, or all."""
    unknown = set(names) - set(MEASURES)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(MEASURES)}", file=sys.stderr)
        return 2
    warnings.simplefilter("ignore")
    missed = False
    for name in names or MEASURES:
        for figure in MEASURES[name]():
            print(figure, flush=True)
            missed |= not figure.ok
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
