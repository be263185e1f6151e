"""An answer to a survey: stored once, changed in place, heard as an occasion without its comment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.answer import ACCOUNT, SOURCE, Answer, GivenAnswer, kind_of
from handoff.ledger import answers, occasions
from handoff.ledger.askings import Asked
from handoff.ledger.storable import storable
from handoff.occasion import Occasion
from handoff.planning.planner import Planned, record_one
from handoff.rules.rule import Rule

NEWS = timedelta(days=7)
"""An answer that is read later than it was given, as vendors report only once a day, is due from when it is heard;
one older than this is history, and starts nothing."""


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
    await answers.alone(connection, given)
    if given.contact_id is not None and await answers.is_erased(connection, given.contact_id):
        return None
    row = await answers.stored(connection, given)
    if row is not None and (row.rating is None or not _is_news(row, given)):
        return None if row.rating is None else Answer(*row)
    if row is None:
        answer = await answers.add(connection, given)
    else:
        answer = await answers.change(connection, row.id, given)
        await _cancel(connection, Answer(*row))
    if answer.contact_id is not None:
        await _tell(connection, answer, rules)
    return answer


async def record_own(
    connection: AsyncConnection, asked: Asked, rating: int, comment: str, rules: Sequence[Rule]
) -> Answer | None:
    """Store what somebody whom this project asked answers now; see :func:`record_answer`."""
    # The ledger's clock, so that web servers need not agree on the time.
    now = await answers.clock(connection)
    given = GivenAnswer(
        asked.survey, rating, asked.effect_key, now, comment, contact_id=asked.contact_id, effect_id=asked.effect_id,
        rule_id=asked.rule_id, occasion_id=asked.occasion_id,
    )  # fmt: skip
    return await record_answer(connection, given, rules)


def _is_news(row: Row[*tuple[Any, ...]], given: GivenAnswer) -> bool:
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
    told = {"answer": answer.id, "version": answer.version, "rating": answer.rating, "via": answer.via}
    return {**told, **await answers.led_to(connection, answer)}
