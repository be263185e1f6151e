"""The figures of surveys: NPS and response rate, in all, by rule, and over time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any, Literal

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.answer import Figures, figures

By = Literal["week", "month", "rule"]
ZONE = "Europe/Berlin"
"""The time zone in which a week or a month begins."""


@dataclass(frozen=True, slots=True)
class Line:
    """The figures of one survey, of one rule or period of it.

    :param rule: ``None`` for all rules together; empty for answers that no rule asked for.
    :param since: first day of the week (a Monday) or month, ``None`` for all time.
    """

    survey: str
    rule: str | None
    since: date | None
    figures: Figures


# An asking counts once its message is known to have gone out, unless its vendor left the person out; of an answer
# there is only the newest version.
FIGURES = text("""
    WITH fact AS (
        SELECT asking.survey, asking.rule_id, 1 AS asked, CAST(NULL AS smallint) AS rating,
            COALESCE(effect.intent_at, asking.asked_at) AS at
        FROM handoff.askings AS asking JOIN handoff.effects AS effect ON effect.id = asking.effect_id
        WHERE effect.state = 'confirmed' AND effect.proof ->> 'state' IS DISTINCT FROM 'skipped'
        UNION ALL
        SELECT survey, rule_id, 0, rating, answered_at FROM handoff.answers WHERE rating IS NOT NULL
    ), placed AS (
        SELECT survey, asked, rating, CASE WHEN :by_rule THEN rule_id END AS rule,
            CAST(date_trunc(CAST(:unit AS text), at AT TIME ZONE :zone) AS date) AS since
        FROM fact
        WHERE (CAST(:survey AS text) IS NULL OR survey = :survey)
          AND (CAST(:since AS date) IS NULL OR CAST(at AT TIME ZONE :zone AS date) >= :since)
    )
    SELECT survey, rule, since, rating, sum(asked) AS asked, count(rating) AS answers FROM placed
    GROUP BY survey, rule, since, rating ORDER BY survey, since, rule
""")
SURVEYS = text("SELECT survey FROM handoff.askings UNION SELECT survey FROM handoff.answers ORDER BY survey")


async def lines(
    connection: AsyncConnection, *, survey: str | None = None, by: By | None = None, since: date | None = None
) -> list[Line]:
    """Return the figures, one line a survey; with ``by`` one for each of its rules, and of their weeks or months.

    Each mail counts when it went out, each answer when it was given: a week's answers may be to mails of the week
    before.

    :param survey: only this one. :param since: count from this day on (German time).
    """
    unit = None if by in {None, "rule"} else by
    parameters = {"by_rule": by is not None, "unit": unit, "zone": ZONE, "survey": survey, "since": since}
    rows = (await connection.execute(FIGURES, parameters)).all()
    return [_line(*place, list(some)) for place, some in groupby(rows, lambda row: (row.survey, row.rule, row.since))]


async def surveys(connection: AsyncConnection) -> list[str]:
    """Return the names of all surveys that asked anybody or have an answer."""
    return list((await connection.execute(SURVEYS)).scalars())


def _line(survey: str, rule: str | None, since: date | None, rows: list[Row[Any]]) -> Line:
    ratings = Counter({row.rating: row.answers for row in rows if row.rating is not None})
    return Line(survey, rule, since, figures(sum(int(row.asked) for row in rows), ratings))
