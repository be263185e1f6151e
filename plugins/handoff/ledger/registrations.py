"""The source's own list for an occasion, as last read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.contact import Contact, UnusableAddress, normalise_email
from handoff.ledger.storable import storable_json
from handoff.registration import Presence, Registration, Roster

LANGUAGES = {"de", "en"}
WRITTEN_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Listed:
    """A registration with the contact it belongs to; ``unusable`` says why there is none, e.g. ``erased``."""

    registration: Registration
    contact_id: int | None
    contact_key: str
    unusable: str


STORE = text("""
    WITH entry AS (
        SELECT * FROM jsonb_to_recordset(CAST(:entries AS jsonb)) AS entry (
            ref text, unusable text, registered_at timestamptz, presence jsonb,
            key text, email text, first_name text, last_name text, phone text, language text, timezone text,
            details jsonb)
    ), contact AS (
        INSERT INTO handoff.contacts (key, email, first_name, last_name, phone, language, timezone)
        SELECT DISTINCT ON (key) key, email, first_name, last_name, phone, language, timezone
        FROM entry WHERE unusable = '' ORDER BY key, registered_at
        ON CONFLICT (key) DO UPDATE SET email = EXCLUDED.email, first_name = EXCLUDED.first_name,
            last_name = EXCLUDED.last_name, phone = EXCLUDED.phone, language = EXCLUDED.language,
            timezone = EXCLUDED.timezone
        -- Seen in the row itself, which an erasure going on at the same time has locked.
        WHERE NOT contacts.erased
        RETURNING id, key
    )
    INSERT INTO handoff.registrations (
        occasion_id, ref, contact_id, unusable, registered_at, presence, details, read_at)
    SELECT :occasion_id, entry.ref, contact.id,
        CASE WHEN entry.unusable = '' AND contact.id IS NULL THEN 'erased' ELSE entry.unusable END,
        entry.registered_at, CASE WHEN contact.id IS NULL THEN '[]' ELSE entry.presence END,
        CASE WHEN contact.id IS NULL THEN '{}' ELSE entry.details END, :read_at
    FROM entry LEFT JOIN contact USING (key)
    ON CONFLICT (occasion_id, ref) DO UPDATE SET contact_id = EXCLUDED.contact_id, unusable = EXCLUDED.unusable,
        registered_at = EXCLUDED.registered_at, presence = EXCLUDED.presence, details = EXCLUDED.details,
        read_at = EXCLUDED.read_at
""")
LISTED = text("""
    SELECT registration.ref, NULLIF(contact.email, '') IS NOT NULL AS kept, registration.contact_id,
        registration.unusable, registration.registered_at, registration.presence, registration.details,
        contact.key AS contact_key
    FROM handoff.registrations AS registration
    LEFT JOIN handoff.contacts AS contact ON contact.id = registration.contact_id
    WHERE registration.occasion_id = :occasion_id
    ORDER BY registration.registered_at, registration.ref
""")
ZONES = text("""
    SELECT DISTINCT contact.timezone FROM handoff.registrations AS registration
    JOIN handoff.contacts AS contact ON contact.id = registration.contact_id
    WHERE registration.occasion_id = :occasion_id
""")
DETAILS = text("""
    SELECT registration.details FROM handoff.batches AS batch
    JOIN handoff.registrations AS registration ON registration.occasion_id = batch.occasion_id
    JOIN handoff.contacts AS contact ON contact.id = registration.contact_id
    WHERE batch.id = :batch_id AND contact.key = :contact_key
    ORDER BY registration.registered_at, registration.ref LIMIT 1
""")
WITHDRAW = text("""
    WITH gone AS (
        SELECT occasion_id, ref FROM handoff.registrations
        WHERE occasion_id = :occasion_id AND read_at < :read_at AND read_at > 'epoch' AND unusable = ''
        -- What another list is just writing is listed there.
        FOR UPDATE SKIP LOCKED
    )
    UPDATE handoff.registrations AS entry
    SET unusable = 'withdrawn', contact_id = NULL, presence = '[]', details = '{}'
    FROM gone WHERE entry.occasion_id = gone.occasion_id AND entry.ref = gone.ref
""")
SINCE = text("""
    -- One that could not be read was given the time of that reading.
    SELECT ref, CASE WHEN unusable <> 'unreadable' THEN registered_at END AS since
    FROM handoff.registrations WHERE occasion_id = :occasion_id
""")
JUDGED_AT = text("""
    SELECT max(GREATEST(judged_at, due_at)) + interval '1 microsecond' FROM handoff.batches
    WHERE occasion_id = :occasion_id AND state = 'judged'
""")
# An entry that was not kept is read again, and the whole list with it.
READ_AT = text("""
    SELECT CASE WHEN min(read_at) > 'epoch' THEN max(read_at) END FROM handoff.registrations
    WHERE occasion_id = :occasion_id
""")


def _presence_json(registration: Registration) -> list[list[str | None]]:
    return [[stay.joined.isoformat(), stay.left.isoformat() if stay.left else None] for stay in registration.presence]


def _presence(stays: list[list[str | None]]) -> tuple[Presence, ...]:
    return tuple(
        Presence(datetime.fromisoformat(joined), datetime.fromisoformat(left) if left else None)
        for joined, left in stays
        if joined
    )


def _entry(registration: Registration) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "ref": registration.ref,
        "registered_at": registration.registered_at.isoformat(),
        "presence": _presence_json(registration),
        "details": dict(registration.details),
        "unusable": "",
        "key": "",
    }
    try:
        email = normalise_email(registration.email)
    except UnusableAddress as unusable:
        return entry | {"unusable": unusable.reason}
    return entry | {
        "key": Contact(email=email).key,
        "email": email,
        "first_name": registration.first_name.strip(),
        "last_name": registration.last_name.strip(),
        "phone": registration.phone,
        "language": registration.language if registration.language in LANGUAGES else "",
        "timezone": registration.timezone,
    }


def _unreadable(ref: str, read_at: datetime) -> dict[str, Any]:
    nothing: dict[str, Any] = {"key": "", "presence": [], "details": {}, "unusable": "unreadable"}
    return nothing | {"ref": ref, "registered_at": read_at.isoformat()}


async def store(connection: AsyncConnection, occasion_id: int, roster: Roster) -> None:
    """Write what a source lists, new entries and changed ones; entries are never removed.

    Of an entry listed twice the later one counts. Presence is kept only of those who can be written
    to; of somebody whose data was erased nothing comes back but the entry's ref and time. Everybody
    writes in the same order, so that lists with the same people, stored at the same time, do not
    wait for each other in a circle.
    """
    found = [*map(_entry, roster.registrations), *(_unreadable(ref, roster.read_at) for ref in roster.unreadable)]
    if roster.entire:
        await _date(connection, occasion_id, found)
    entries = sorted({entry["ref"]: entry for entry in found}.values(), key=itemgetter("key", "ref"))
    for start in range(0, len(entries), WRITTEN_AT_ONCE):
        chunk = storable_json(entries[start : start + WRITTEN_AT_ONCE])
        await connection.execute(STORE, {"entries": chunk, "occasion_id": occasion_id, "read_at": roster.read_at})


async def _date(connection: AsyncConnection, occasion_id: int, entries: list[dict[str, Any]]) -> None:
    """Let entries without a time of their own keep the one that they have; a new one came after the judgement."""
    one = {"occasion_id": occasion_id}
    known = {row.ref: row.since for row in await connection.execute(SINCE, one)}
    judged_at = (await connection.execute(JUDGED_AT, one)).scalar_one_or_none()
    for entry in entries:
        if since := known.get(entry["ref"], judged_at):
            entry["registered_at"] = since.isoformat()


async def store_whole(connection: AsyncConnection, occasion_id: int, roster: Roster) -> None:
    """Write a source's whole list; who was listed before and is not any more counts as ``withdrawn``.

    An empty list that is not said to be entire withdraws nobody: that is what a source says that has no list at all.
    """
    await store(connection, occasion_id, roster)
    if roster.registrations or roster.entire:
        await connection.execute(WITHDRAW, {"occasion_id": occasion_id, "read_at": roster.read_at})


async def read_at(connection: AsyncConnection, occasion_id: int) -> datetime | None:
    """Return when the occasion's list was last read, ``None`` if never, if it was empty or is not kept any more."""
    return (await connection.execute(READ_AT, {"occasion_id": occasion_id})).scalar_one_or_none()


async def details(connection: AsyncConnection, batch_id: int, contact_key: str) -> dict[str, Any]:
    """Return what the source says of a contact's first entry, for the messages of a batch."""
    found = await connection.execute(DETAILS, {"batch_id": batch_id, "contact_key": contact_key})
    return dict(found.scalar_one_or_none() or {})


async def zones(connection: AsyncConnection, occasion_id: int) -> list[str]:
    """Return the time zones of those who are listed, as their source names them; empty for those without one."""
    return list((await connection.execute(ZONES, {"occasion_id": occasion_id})).scalars())


async def listed(connection: AsyncConnection, occasion_id: int) -> list[Listed]:
    """Return the occasion's entries in the order of registration."""
    rows: Iterable[RowMapping] = (await connection.execute(LISTED, {"occasion_id": occasion_id})).mappings()
    return [_listed(row) for row in rows]


def _listed(row: RowMapping) -> Listed:
    registration = Registration(
        ref=row["ref"], email="", registered_at=row["registered_at"], presence=_presence(row["presence"]),
        details=row["details"],
    )  # fmt: skip
    if row["contact_id"] is not None and not row["kept"]:
        return Listed(registration, None, "", "not_kept")
    return Listed(registration, row["contact_id"], row["contact_key"] or "", row["unusable"])
