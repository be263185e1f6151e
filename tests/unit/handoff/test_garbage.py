"""While a batch goes out the garbage collector looks seldom, and afterwards as before."""

from __future__ import annotations

import gc

import pytest

from handoff.delivery.garbage import SELDOM, seldom_collected


def test_it_looks_seldom_only_within() -> None:
    gc.unfreeze()
    before, there = gc.get_threshold(), [[number] for number in range(10_000)]
    with seldom_collected():
        assert gc.get_threshold() == SELDOM
        assert gc.get_freeze_count() > len(there)
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_it_looks_as_before_after_an_error() -> None:
    before = gc.get_threshold()
    with pytest.raises(ZeroDivisionError), seldom_collected():
        _ = 1 / 0
    assert gc.get_threshold() == before
