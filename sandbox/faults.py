"""Faults to order: what a system shall do wrong, how often, and how often it did."""

from __future__ import annotations

import random
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

System = Literal["webinaris", "klicktipp", "activecampaign", "email", "insightly", "callexa", "etermin", "quentn"]
Kind = Literal[
    "commit_then_drop",
    "drop_before_commit",
    "hang",
    "400",
    "403",
    "500",
    "503",
    "429",
    "malformed",
    "html",
    "empty",
    "slow",
]
Stage = Literal["before", "after"]

AFTER: frozenset[Kind] = frozenset({"commit_then_drop", "malformed", "html", "empty", "slow"})
"""Faults that strike when the work is done; the others strike instead of it."""


class FaultOrder(BaseModel):
    """Body of ``POST /_sandbox/faults``.

    :param count: strikes at most this often; without a limit when left out.
    :param path: only requests whose path (without the system's prefix) begins so.
    :param changing_only: leave reading requests alone (a login or a search counts as reading).
    :param retry_after: seconds, only for ``429``; no header when left out.
    :param seconds: how long ``slow`` delays the answer and ``hang`` keeps the connection open.
    :param commit: only for ``hang``: do the work first, then never answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: System
    fault: Kind
    probability: float = Field(default=1.0, ge=0, le=1)
    count: int | None = Field(default=None, ge=1)
    seed: int | None = None
    path: str = ""
    method: str = ""
    changing_only: bool = True
    retry_after: float | None = Field(default=None, ge=0)
    seconds: float | None = Field(default=None, ge=0)
    commit: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.system == "email" and self.fault in {"malformed", "html", "empty", "400", "403"}:
            raise ValueError(f"{self.fault!r} is about HTTP; 'email' has none")
        if self.retry_after is not None and self.fault != "429":
            raise ValueError("retry_after belongs to the fault '429'")
        if self.commit and self.fault != "hang":
            raise ValueError("commit belongs to the fault 'hang'")
        return self

    @property
    def stage(self) -> Stage:
        """Whether the fault strikes instead of the work (before) or once it is done (after)."""
        return "after" if self.fault in AFTER or self.commit else "before"

    @property
    def duration(self) -> float:
        """Seconds for ``slow`` (default 5) and ``hang`` (default 3600)."""
        if self.seconds is not None:
            return self.seconds
        return 3600.0 if self.fault == "hang" else 5.0


class Fault:
    """One ordered fault and how often it struck."""

    def __init__(self, order: FaultOrder) -> None:
        self.order = order
        self.struck = 0
        self._random = random.Random(order.seed)

    def strikes(self, method: str, path: str, changes: bool) -> bool:
        """Decide whether the fault hits this request, and count it if so."""
        order = self.order
        if order.count is not None and self.struck >= order.count:
            return False
        if order.changing_only and not changes:
            return False
        if (order.method and order.method.upper() != method) or not path.startswith(order.path):
            return False
        if self._random.random() >= order.probability:
            return False
        self.struck += 1
        return True


class Faults:
    """The faults in force, oldest first."""

    def __init__(self) -> None:
        self._by_place: dict[tuple[str, Stage], list[Fault]] = {}
        self._all: list[Fault] = []

    def order(self, order: FaultOrder) -> Fault:
        """Put a fault in force."""
        fault = Fault(order)
        self._all.append(fault)
        self._by_place.setdefault((order.system, order.stage), []).append(fault)
        return fault

    def strike(self, system: str, stage: Stage, method: str, path: str, changes: bool) -> FaultOrder | None:
        """Return the first fault that hits this request at this stage, or ``None``."""
        for fault in self._by_place.get((system, stage), ()):
            if fault.strikes(method, path, changes):
                return fault.order
        return None

    def clear(self) -> None:
        """Lift all faults."""
        self._all.clear()
        self._by_place.clear()

    def as_json(self) -> list[dict[str, object]]:
        """Return every fault in force with ``struck``, how often it has hit."""
        return [{**fault.order.model_dump(), "struck": fault.struck} for fault in self._all]
