"""The source's list in the ledger: the last reading counts, and a person is one person everywhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import registrations
from handoff.ledger.registrations import Listed
from handoff.planning.planner import record
from handoff.registration import Registration, Roster
from tests.support.domain import START, an_occasion, some_registrations, stay
from tests.support.rows import rows

NOW = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)


async def stored(ledger: AsyncEngine, *people: Registration, unreadable: tuple[str, ...] = (), key: str = "d1") -> int:
    await record(ledger, [an_occasion(key=key)], [])
    [(occasion_id,)] = await rows(ledger, "SELECT id FROM handoff.occasions WHERE key = :key", key=key)
    async with ledger.begin() as connection:
        await registrations.store(connection, occasion_id, Roster(NOW, NOW, people, unreadable))
    return int(occasion_id)


async def listed(ledger: AsyncEngine, occasion_id: int) -> list[Listed]:
    async with ledger.connect() as connection:
        return await registrations.listed(connection, occasion_id)


def person(ref: str, email: str, minutes: float = 60, **more: object) -> Registration:
    return Registration(ref, email, START - timedelta(minutes=minutes), **more)  # type: ignore[arg-type]


async def test_the_list_comes_back_in_the_order_of_registration(ledger: AsyncEngine) -> None:
    people = some_registrations(2500)
    found = await listed(ledger, await stored(ledger, *reversed(people)))
    assert [entry.registration.ref for entry in found] == [one.ref for one in people]


async def test_who_registered_in_the_same_second_is_ordered_by_ref(ledger: AsyncEngine) -> None:
    found = await listed(ledger, await stored(ledger, person("b", "b@example.org"), person("a", "a@example.org")))
    assert [entry.registration.ref for entry in found] == ["a", "b"]


async def test_presence_comes_back_as_it_was_read(ledger: AsyncEngine) -> None:
    stays = (stay(START, -5, 10.5), stay(START, 20, None))
    [entry] = await listed(ledger, await stored(ledger, person("a", "a@example.org", presence=stays)))
    assert entry.registration.presence == stays


async def test_a_later_reading_replaces_an_entry(ledger: AsyncEngine) -> None:
    first = person("a", "alt@example.org", first_name="Eva")
    occasion_id = await stored(ledger, first)
    await stored(ledger, replace(first, email="neu@example.org", presence=(stay(START, 0, 1),)))
    [entry] = await listed(ledger, occasion_id)
    [(email,)] = await rows(ledger, "SELECT email FROM handoff.contacts WHERE id = :id", id=entry.contact_id)
    assert email == "neu@example.org"
    assert len(entry.registration.presence) == 1


async def test_the_same_ref_twice_in_one_answer(ledger: AsyncEngine) -> None:
    people = (person("a", "alt@example.org"), person("a", "neu@example.org"))
    occasion_id = await stored(ledger, *people, unreadable=("x", "x"))
    assert [(entry.registration.ref, entry.unusable) for entry in await listed(ledger, occasion_id)] == [
        ("a", ""), ("x", "unreadable")
    ]  # fmt: skip


async def test_a_person_is_one_contact_in_all_occasions(ledger: AsyncEngine) -> None:
    ids = set()
    for key, email in (("d1", "eva@example.org"), ("d2", " EVA@example.org"), ("d3", "Eva@EXAMPLE.org ")):
        [entry] = await listed(ledger, await stored(ledger, person("r", email), key=key))
        ids.add((entry.contact_id, entry.contact_key))
    assert len(ids) == 1


async def test_why_somebody_cannot_be_written_to(ledger: AsyncEngine) -> None:
    emails = ("", "  ", "kein at", "a@b@c.org", "a@b\x00.org")
    people = [person(str(number), email) for number, email in enumerate(emails)]
    found = await listed(ledger, await stored(ledger, *people))
    assert [entry.unusable for entry in found] == ["no_email"] * 2 + ["invalid_email"] * 3
    assert {entry.contact_id for entry in found} == {None}


async def test_names_of_all_kinds_and_languages_nobody_writes_in(ledger: AsyncEngine) -> None:
    names = {"first_name": "  Jörg 🎉\x00", "last_name": "Ünal'); --", "language": "fr", "timezone": "Asia/Tokyo"}
    await stored(ledger, person("a", "jörg@müller.example.org", **names))
    assert await rows(ledger, "SELECT first_name, last_name, language, timezone, email FROM handoff.contacts") == [
        ("Jörg 🎉", "Ünal'); --", "", "Asia/Tokyo", "jörg@müller.example.org")
    ]


async def test_an_empty_list(ledger: AsyncEngine) -> None:
    occasion_id = await stored(ledger)
    assert await listed(ledger, occasion_id) == []
    async with ledger.connect() as connection:
        assert await registrations.read_at(connection, occasion_id) is None
    await stored(ledger, person("a", "a@example.org"))
    async with ledger.connect() as connection:
        assert await registrations.read_at(connection, occasion_id) == NOW
