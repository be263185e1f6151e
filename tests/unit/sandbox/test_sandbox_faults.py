from __future__ import annotations

import pytest
from pydantic import ValidationError

from sandbox.faults import FaultOrder, Faults


def hits(order: FaultOrder, requests: int = 200) -> list[int]:
    faults = Faults()
    faults.order(order)
    struck = (faults.strike("klicktipp", order.stage, "POST", "/subscriber/tag", True) for _ in range(requests))
    return [number for number, fault in enumerate(struck) if fault]


def test_the_same_seed_strikes_the_same_requests() -> None:
    order = FaultOrder(system="klicktipp", fault="commit_then_drop", probability=0.3, seed=1)
    assert hits(order) == hits(order)
    assert hits(order) != hits(order.model_copy(update={"seed": 2}))
    assert 40 <= len(hits(order)) <= 80


def test_a_count_ends_it() -> None:
    assert hits(FaultOrder(system="klicktipp", fault="500", count=3)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("order", "method", "path", "changes", "struck"),
    [
        ({}, "POST", "/tag", True, True),
        ({}, "GET", "/tag", False, False),
        ({"changing_only": False}, "GET", "/tag", False, True),
        ({"path": "/sub"}, "POST", "/subscriber/tag", True, True),
        ({"path": "/sub"}, "POST", "/tag", True, False),
        ({"method": "put"}, "PUT", "/tag", True, True),
        ({"method": "put"}, "POST", "/tag", True, False),
    ],
)
def test_only_what_fits_is_struck(
    order: dict[str, object], method: str, path: str, changes: bool, struck: bool
) -> None:
    faults = Faults()
    faults.order(FaultOrder.model_validate({"system": "klicktipp", "fault": "503", **order}))
    assert bool(faults.strike("klicktipp", "before", method, path, changes)) is struck
    assert faults.strike("activecampaign", "before", method, path, changes) is None
    assert faults.strike("klicktipp", "after", method, path, changes) is None
    assert faults.as_json()[0]["struck"] == int(struck)


@pytest.mark.parametrize(
    "order",
    [
        {"system": "email", "fault": "html"},
        {"system": "klicktipp", "fault": "500", "retry_after": 1},
        {"system": "klicktipp", "fault": "slow", "commit": True},
        {"system": "klicktipp", "fault": "explode"},
        {"system": "klicktipp", "fault": "500", "probability": 1.5},
    ],
)
def test_an_impossible_order_is_refused(order: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FaultOrder.model_validate(order)
