"""The signing key: one for the whole ledger, whoever asks first."""

from __future__ import annotations

import asyncio
import logging

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger.connect import single_statements
from handoff.ledger.keys import KEY_BYTES, signing_key
from handoff.ledger.schema import SCHEMA, Base
from operators.work import links_of


async def test_all_who_ask_at_once_get_the_same_key(ledger: AsyncEngine) -> None:
    async def ask() -> bytes:
        async with ledger.begin() as connection:
            return await signing_key(connection)

    first = await asyncio.gather(*(ask() for _ in range(6)))
    async with single_statements(ledger) as connection:
        later = await signing_key(connection)
    assert {len(key) for key in first} == {KEY_BYTES}
    assert set(first) == {later}


@pytest.mark.parametrize(("url", "told"), [("http://a.example.org", 1), ("https://a.example.org", 0)])
async def test_who_makes_links_that_others_can_read_is_told(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str, told: int
) -> None:
    monkeypatch.setenv("HANDOFF_PUBLIC_URL", url)
    with caplog.at_level(logging.WARNING, "operators.work"):
        links = await links_of(ledger)
    assert links is not None
    assert links.base_url == url
    assert ["HANDOFF_PUBLIC_URL is http" in one.getMessage() for one in caplog.records] == [True] * told


async def test_the_migrations_make_the_tables_that_the_models_describe(ledger: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[object]:
        options = {
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
            "include_object": lambda _, name, kind, *__: name != "alembic_version",
        }
        return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)

    async with ledger.connect() as connection:
        assert await connection.run_sync(differences) == []
