"""The journal of what really took place at the stand-ins, in order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that took place.

    :param seq: counts from 1 and is never used twice, not even after :meth:`Effects.clear`.
    :param at: unix seconds.
    :param system: e.g. ``webinaris``, ``klicktipp``, ``email``.
    :param action: what took place, e.g. ``tag``, ``contact``, ``mail``.
    :param contact: the contact's address in lower case; empty when the action concerns nobody.
    """

    seq: int
    at: float
    system: str
    action: str
    contact: str
    detail: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the effect as ``GET /_sandbox/effects`` shows it."""
        return asdict(self)


class Effects:
    """Every state-changing request and every mail that was accepted, in order."""

    def __init__(self) -> None:
        self._journal: list[Effect] = []
        self._cleared = 0

    def record(self, system: str, action: str, contact: str = "", **detail: Any) -> Effect:
        """Append one effect and return it."""
        seq = self._cleared + len(self._journal) + 1
        effect = Effect(seq, time.time(), system, action, contact, detail)
        self._journal.append(effect)
        return effect

    def since(self, seq: int = 0, system: str | None = None) -> list[Effect]:
        """Return the effects after number ``seq``, of one system or of all."""
        later = self._journal[max(seq - self._cleared, 0) :]
        return later if system is None else [effect for effect in later if effect.system == system]

    def clear(self) -> None:
        """Empty the journal; numbering goes on."""
        self._cleared += len(self._journal)
        self._journal.clear()

    def __iter__(self) -> Iterator[Effect]:
        return iter(self._journal)

    def __len__(self) -> int:
        return len(self._journal)
