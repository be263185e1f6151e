"""What is opened once: for all who ask, again after a failure, and closed whatever else fails."""

from __future__ import annotations

import asyncio
import logging

import pytest

from handoff.delivery.once import Once
from handoff.delivery.sources import Sources
from handoff.errors import Transient
from tests.support.domain import FixedSource


async def test_who_is_cut_off_does_not_take_it_from_the_others() -> None:
    once, goes_on = Once[str, str](), asyncio.Event()

    async def make() -> str:
        await goes_on.wait()
        return "made"

    hasty, patient = asyncio.create_task(once.of("a", make)), asyncio.create_task(once.of("a", make))
    await asyncio.sleep(0)
    hasty.cancel()
    await asyncio.gather(hasty, return_exceptions=True)
    goes_on.set()
    assert await patient == "made"
    assert hasty.cancelled()


async def test_what_is_out_of_date_is_made_anew_once_however_many_find_that() -> None:
    once, made = Once[str, object](), list[object]()

    async def make() -> object:
        made.append(object())
        await asyncio.sleep(0)
        return made[-1]

    async def newer() -> object:
        once.forget("a", first)
        return await once.of("a", make)

    first = await once.of("a", make)
    assert set(await asyncio.gather(*(newer() for _ in range(10)))) == {made[1]}
    assert len(made) == 2


class Account(FixedSource):
    """A source that tells when it is closed, and may fail to be."""

    def __init__(self, name: str, closed: list[str]) -> None:
        super().__init__(None)
        self._name, self._closed = name, closed

    async def close(self) -> None:
        self._closed.append(self._name)
        if self._name == "stuck":
            raise ConnectionResetError("https://stuck.example")


async def test_two_batches_of_an_account_open_it_once_and_it_is_closed() -> None:
    opened, closed = list[str](), list[str]()

    async def opener(source: str, account: str) -> Account:
        opened.append(account)
        await asyncio.sleep(0.01)
        return Account(account, closed)

    sources = Sources(opener)
    one, other = await asyncio.gather(*(sources.of("webinaris", "a") for _ in range(2)))
    await sources.close()
    assert one is other
    assert opened == closed == ["a"]


async def test_an_account_that_could_not_be_opened_is_tried_again() -> None:
    tries, closed = list[str](), list[str]()

    async def opener(source: str, account: str) -> Account:
        tries.append(account)
        if len(tries) == 1:
            raise Transient(account, "read the connection")
        return Account(account, closed)

    sources = Sources(opener)
    with pytest.raises(Transient):
        await sources.of("webinaris", "a")
    await sources.of("webinaris", "a")
    await sources.close()
    assert closed == ["a"]


async def test_one_that_cannot_be_closed_leaves_no_other_open(caplog: pytest.LogCaptureFixture) -> None:
    closed = list[str]()

    async def opener(source: str, account: str) -> Account:
        return Account(account, closed)

    sources = Sources(opener)
    for account in ("stuck", "b", "c"):
        await sources.of("webinaris", account)
    with caplog.at_level(logging.WARNING):
        await sources.close()
    assert closed == ["stuck", "b", "c"]
    assert "ConnectionResetError" in caplog.text
    assert "stuck.example" not in caplog.text
