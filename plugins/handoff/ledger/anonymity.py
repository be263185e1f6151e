"""Taking the person out of answers: comment and link go, the rating stays and counts on.

The row that the answer's source knows stays without its content, so that the same answer is not taken again. The
rating moves to a new row of which nobody can tell whose it was; of the moment only the day is left. What was told of
the answer as an event goes too.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

MOVE = """
    WITH mine AS (
        SELECT * FROM handoff.answers WHERE {whose} ORDER BY id FOR UPDATE
    ), counted AS (
        INSERT INTO handoff.answers (survey, via, rule_id, rating, answered_at)
        SELECT survey, via, rule_id, rating, {day} FROM mine WHERE rating IS NOT NULL ORDER BY random()
    ), told AS (
        SELECT mine.id || '/' || version.number AS key
        FROM mine CROSS JOIN generate_series(1, mine.version) AS version (number)
    ), occasion AS (
        UPDATE handoff.occasions SET facts = '{{}}'
        WHERE source = 'survey' AND account = 'survey' AND key IN (SELECT key FROM told)
    ), event AS (
        UPDATE handoff.inbox SET payload = '{{}}'
        WHERE source = 'survey' AND account = 'survey' AND occasion_key IN (SELECT key FROM told)
    )
    UPDATE handoff.answers AS answer SET rating = NULL, comment = '', contact_id = NULL, effect_id = NULL,
        occasion_id = NULL, answered_at = {mine_day}
    FROM mine WHERE answer.id = mine.id
"""
# Noon: the day is the same in every time zone that matters here.
NOON = "date_trunc('day', {at}, 'Europe/Berlin') + interval '12 hours'"
DAYS = {"day": NOON.format(at="answered_at"), "mine_day": NOON.format(at="mine.answered_at")}
OF_CONTACT = text(MOVE.format(whose="contact_id = :contact_id", **DAYS))
SOME = text(MOVE.format(whose="id = ANY(CAST(:found AS bigint[]))", **DAYS))


async def forget_answers(connection: AsyncConnection, contact_id: int) -> int:
    """Take a person out of all their answers, and return how many there were.

    :param connection: in a transaction that has locked the contact's row.
    """
    return (await connection.execute(OF_CONTACT, {"contact_id": contact_id})).rowcount
