"""How commands print: plain tables, moments, lateness, and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import Any

SHORT_KEY = 12
"""Digits of a contact's key that are printed; ``handoff explain`` finds a person by them."""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table with columns as wide as they need to be."""
    cells = [tuple(head), *(tuple("" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def moment(value: datetime | None) -> str:
    """Return an aware moment in this machine's zone, empty for none."""
    return f"{value.astimezone():%Y-%m-%d %H:%M:%S%z}" if value else ""


def lateness(seconds: float) -> str:
    """Return how late something is in its two greatest units, empty when it is not."""
    if seconds < 1:
        return ""
    rest = int(seconds)
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        amount, rest = divmod(rest, size)
        if amount or parts:
            parts.append(f"{amount} {unit}")
    return " ".join(parts[:2])


def as_json(value: object) -> str:
    """Return JSON for people and programs; moments are ISO 8601 in UTC."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")
