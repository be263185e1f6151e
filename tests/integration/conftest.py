"""Worlds that several of these tests live in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.etermin_world import ETermin, etermin_world


@pytest.fixture
async def etermin(
    ledger: AsyncEngine, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ETermin]:
    """eTermin's stand-in, and the account and rules that lead to it."""
    async with etermin_world(ledger, ledger_url, tmp_path, monkeypatch) as world:
        yield world
