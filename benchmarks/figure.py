"""One measured figure and the bar it is held against."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the table.

    :param name: what ``ONLY=`` selects by, e.g. ``throughput_1000``.
    :param at_least: the bar is a lower bound; else an upper one.
    :param note: how it was measured, in a few words.
    """

    name: str
    measured: float
    bar: float
    unit: str
    at_least: bool
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the bar is reached."""
        return self.measured >= self.bar if self.at_least else self.measured <= self.bar

    def __str__(self) -> str:
        bound = ">=" if self.at_least else "<="
        verdict = "ok" if self.ok else "MISS"
        return f"{self.name:<24} {self.measured:>10.3f} {self.unit:<12} {bound} {self.bar:<8g} {verdict:<5} {self.note}"


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of the values do not exceed."""
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * int(share * 100) // 100) - 1)]
