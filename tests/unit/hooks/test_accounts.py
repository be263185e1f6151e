"""From a source's name to the opened account."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from handoff.errors import WrongCredentials
from handoff.occasion import BY_HAND
from handoff.rules.kinds import KINDS
from hooks.accounts import OWN_SOURCES, SOURCES, open_source


def test_every_source_of_a_rule_can_be_opened() -> None:
    assert OWN_SOURCES.keys() | SOURCES.keys() == KINDS.keys() | {BY_HAND}
    assert not OWN_SOURCES.keys() & SOURCES.keys()


async def test_an_unknown_source_is_refused_by_its_name() -> None:
    with pytest.raises(WrongCredentials, match="there is no source 'webinar'"):
        await open_source("webinar", "webinaris_default", create_async_engine("postgresql+psycopg://"))
