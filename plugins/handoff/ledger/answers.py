"""Answers to surveys: each stored once, and changed in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.answer import Answer, Content, GivenAnswer

CLOCK = text("SELECT clock_timestamp()")
ALONE = text("SELECT pg_advisory_xact_lock(hashtext('handoff-answer/' || :via || '/' || :survey || '/' || :ref))")
# Whoever erases the person locks this row too.
ERASED = text("SELECT erased FROM handoff.contacts WHERE id = :contact_id FOR KEY SHARE")
COLUMNS = "id, survey, via, rating, comment, answered_at, version, contact_id, occasion_id"
STORED = text(f"""
    SELECT {COLUMNS} FROM handoff.answers WHERE via = :via AND survey = :survey AND ref = :ref FOR UPDATE
""")  # noqa: S608 - nothing but the constant above
ADD = text(f"""
    INSERT INTO handoff.answers
        (survey, via, ref, contact_id, effect_id, rule_id, occasion_id, rating, comment, answered_at)
    VALUES (:survey, :via, :ref, :contact_id, :effect_id, :rule_id, :occasion_id, :rating, :comment, :answered_at)
    RETURNING {COLUMNS}
""")  # noqa: S608 - nothing but the constant above
CHANGE = text(f"""
    UPDATE handoff.answers SET rating = :rating, comment = :comment, answered_at = :answered_at,
        version = version + 1
    WHERE id = :id RETURNING {COLUMNS}
""")  # noqa: S608 - nothing but the constant above
# What was given by hand is no record of a source's.
LED_TO = text("""
    SELECT occasion.source, occasion.account, COALESCE(occasion.facts ->> 'record', '') AS record,
        COALESCE((SELECT entry.ref FROM handoff.registrations AS entry
            WHERE entry.occasion_id = occasion.id AND entry.contact_id = :contact_id
            ORDER BY entry.registered_at, entry.ref LIMIT 1), '') AS contact_ref
    FROM handoff.occasions AS occasion WHERE occasion.id = :occasion_id AND occasion.source <> 'manual'
""")
# Superseded by a newer version, erased, or not kept any more: then it is not the answer.
STANDING = text("""
    SELECT id || '/' || version FROM handoff.answers
    WHERE id = ANY(CAST(:ids AS bigint[])) AND contact_id IS NOT NULL AND rating IS NOT NULL
""")
PERSON = text("""
    SELECT contact.*, answer.answered_at AS happened_at FROM handoff.answers AS answer
    JOIN handoff.contacts AS contact ON contact.id = answer.contact_id
    WHERE answer.id = :id AND contact.email <> ''
""")
NOW = text(f"SELECT {COLUMNS} FROM handoff.answers WHERE id = :id AND rating IS NOT NULL")  # noqa: S608 - as above
BY_REF = text(f"""
    SELECT {COLUMNS} FROM handoff.answers WHERE via = :via AND survey = :survey AND ref = :ref AND rating IS NOT NULL
""")  # noqa: S608 - nothing but the constant above


async def clock(connection: AsyncConnection) -> datetime:
    """Return the ledger's time."""
    return (await connection.execute(CLOCK)).scalar_one()


async def alone(connection: AsyncConnection, given: GivenAnswer) -> None:
    """Let nobody else record this answer until the transaction ends."""
    await connection.execute(ALONE, _name(given))


async def is_erased(connection: AsyncConnection, contact_id: int) -> bool:
    """Tell whether a person's data was erased; whoever is about to waits until commit."""
    return bool((await connection.execute(ERASED, {"contact_id": contact_id})).scalar_one())


async def stored(connection: AsyncConnection, given: GivenAnswer) -> Row[*tuple[Any, ...]] | None:
    """Return what is stored of the answer, with the columns of :class:`Answer`.

    The ``rating`` is ``None`` when its retention period has ended: then nothing is taken any more.
    """
    return (await connection.execute(STORED, _name(given))).one_or_none()


async def add(connection: AsyncConnection, given: GivenAnswer) -> Answer:
    """Store a new answer."""
    return Answer(*(await connection.execute(ADD, asdict(given))).one())


async def change(connection: AsyncConnection, answer_id: int, given: GivenAnswer) -> Answer:
    """Store the next version of an answer."""
    changed = {"id": answer_id, "rating": given.rating, "comment": given.comment, "answered_at": given.answered_at}
    return Answer(*(await connection.execute(CHANGE, changed)).one())


async def led_to(connection: AsyncConnection, answer: Answer) -> dict[str, str]:
    """Return of what somebody was asked: ``source``, ``account``, ``record`` and ``contact_ref``, empty if unknown."""
    parameters = {"contact_id": answer.contact_id, "occasion_id": answer.occasion_id}
    row = (await connection.execute(LED_TO, parameters)).mappings().one_or_none()
    return dict(row) if row else {"source": "", "account": "", "record": "", "contact_ref": ""}


async def find(connection: AsyncConnection, *, via: str, survey: str, ref: str) -> Answer | None:
    """Return the newest version of an answer; ``None`` when there is none, or none is kept any more."""
    row = (await connection.execute(BY_REF, {"via": via, "survey": survey, "ref": ref})).one_or_none()
    return Answer(*row) if row else None


async def current(connection: AsyncConnection, answer_id: int) -> Answer | None:
    """Return the newest version of an answer; ``None`` when it is not kept any more."""
    row = (await connection.execute(NOW, {"id": answer_id})).one_or_none()
    return Answer(*row) if row else None


async def answers_of(connection: AsyncConnection, facts: Mapping[str, Any]) -> Content | None:
    """Return what was answered, in the newest version, by the facts of an answer's occasion.

    :returns: ``None`` when the facts are of no answer, or the answer is not kept any more.
    """
    answer_id = facts.get("answer")
    answer = await current(connection, answer_id) if isinstance(answer_id, int) else None
    return Content(answer.rating, answer.comment) if answer else None


def _name(given: GivenAnswer) -> dict[str, str]:
    return {"via": given.via, "survey": given.survey, "ref": given.ref}
