"""Answers to surveys: each stored once, changed in place, heard as an occasion without its comment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.answer import ACCOUNT, SOURCE, Answer, Content, GivenAnswer, kind_of
from handoff.ledger import occasions
from handoff.ledger.askings import Asked
from handoff.ledger.storable import storable
from handoff.occasion import Occasion
from handoff.planning.planner import Planned, record_one
from handoff.rules.rule import Rule

NEWS = timedelta(days=7)
"""An answer that is read later than it was given, as vendors report only once a day, is due from when it is heard;
one older than this is history, and starts nothing."""

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
NOW = text(f"SELECT {COLUMNS} FROM handoff.answers WHERE id = :id AND rating IS NOT NULL")  # noqa: S608 - as above
BY_REF = text(f"""
    SELECT {COLUMNS} FROM handoff.answers WHERE via = :via AND survey = :survey AND ref = :ref AND rating IS NOT NULL
""")  # noqa: S608 - nothing but the constant above


async def record_answer(connection: AsyncConnection, given: GivenAnswer, rules: Sequence[Rule]) -> Answer | None:
    """Store an answer, and let it be an event of which rules may make something.

    The same answer read twice is stored once. A changed one becomes the next version of the answer, and the
    version before it is cancelled; what is older than the version that is known changes nothing.

    :param connection: in a transaction that is committed afterwards.
    :param rules: all rules as they are now.
    :returns: the answer as it is known now; ``None`` when nothing is taken any more, because the person's data
        was erased or the answer's retention period has ended.
    :raises UnusableAnswer: when the rating is not from 0 to 10.
    """
    kind_of(given.rating)
    given = replace(given, comment=str(storable(given.comment)))
    named = {"via": given.via, "survey": given.survey, "ref": given.ref}
    await connection.execute(ALONE, named)
    if given.contact_id is not None and await _erased(connection, given.contact_id):
        return None
    row = (await connection.execute(STORED, named)).one_or_none()
    if row is not None and (row.rating is None or not _is_news(row, given)):
        return None if row.rating is None else Answer(*row)
    if row is None:
        answer = Answer(*(await connection.execute(ADD, asdict(given))).one())
    else:
        changed = {"id": row.id, "rating": given.rating, "comment": given.comment, "answered_at": given.answered_at}
        answer = Answer(*(await connection.execute(CHANGE, changed)).one())
        await _cancel(connection, Answer(*row))
    if answer.contact_id is not None:
        await _tell(connection, answer, rules)
    return answer


async def record_own(
    connection: AsyncConnection, asked: Asked, rating: int, comment: str, rules: Sequence[Rule]
) -> Answer | None:
    """Store what somebody whom this project asked answers now; see :func:`record_answer`."""
    # The ledger's clock, so that web servers need not agree on the time.
    now = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    given = GivenAnswer(
        asked.survey, rating, asked.effect_key, now, comment, contact_id=asked.contact_id, effect_id=asked.effect_id,
        rule_id=asked.rule_id, occasion_id=asked.occasion_id,
    )  # fmt: skip
    return await record_answer(connection, given, rules)


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


async def _erased(connection: AsyncConnection, contact_id: int) -> bool:
    return bool((await connection.execute(ERASED, {"contact_id": contact_id})).scalar_one())


def _is_news(row: Row[Any], given: GivenAnswer) -> bool:
    same = (row.rating, row.comment) == (given.rating, given.comment)
    return not same and given.answered_at >= row.answered_at


async def _cancel(connection: AsyncConnection, superseded: Answer) -> None:
    """Say that an earlier version is not the answer any more; what was planned because of it is cancelled."""
    known = await occasions.latest(connection, Occasion(SOURCE, ACCOUNT, superseded.key, "", {}))
    if known is not None and not known.occasion.cancelled:
        await record_one(connection, replace(known.occasion, cancelled=True), (), Planned())


async def _tell(connection: AsyncConnection, answer: Answer, rules: Sequence[Rule]) -> None:
    occasion = Occasion(
        SOURCE,
        ACCOUNT,
        answer.key,
        answer.survey,
        {"answered": _heard(answer.answered_at)},
        series=answer.survey,
        facts=await _facts(connection, answer),
    )
    await record_one(connection, occasion, rules, Planned())


def _heard(answered_at: datetime) -> datetime:
    now = datetime.now(UTC)
    return now if now - answered_at < NEWS else answered_at


async def _facts(connection: AsyncConnection, answer: Answer) -> dict[str, object]:
    """Return what rules and notes need to know; the comment stays in the answer alone."""
    parameters = {"contact_id": answer.contact_id, "occasion_id": answer.occasion_id}
    row = (await connection.execute(LED_TO, parameters)).mappings().one_or_none()
    led_to = row or {"source": "", "account": "", "record": "", "contact_ref": ""}
    told = {"answer": answer.id, "version": answer.version, "rating": answer.rating, "via": answer.via}
    return {**told, **led_to}
