"""The minimum distance between two surveys to one person (Mindestabstand), whoever asks: own mail or a vendor."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.answer import OWN
from handoff.ledger.connect import single_statements
from handoff.ledger.lanes import OpenEffect
from handoff.rules.steps import Step
from handoff.target import Call

ASKED_RECENTLY = "asked_recently"

# Two effects that ask the same person the same thing look one after the other.
ALONE = text("""
    SELECT contact_id, pg_advisory_xact_lock(hashtext('handoff-survey/' || contact_id || '/' || :survey))
    FROM handoff.handoffs WHERE id = :handoff_id
""")
# What is on its way or in doubt counts as well: it may arrive. Whom a vendor left out was not asked. An attempt that
# certainly had no effect leaves an effect planned that was announced after it was noted: it has not asked yet.
RECENTLY = text("""
    SELECT EXISTS (
        SELECT FROM handoff.askings AS asking JOIN handoff.effects AS effect ON effect.id = asking.effect_id
        WHERE asking.contact_id = (SELECT contact_id FROM handoff.handoffs WHERE id = :handoff_id)
          AND asking.survey = :survey AND asking.effect_id <> :effect_id
          AND asking.asked_at > clock_timestamp() - make_interval(weeks => :weeks)
          AND effect.proof ->> 'state' IS DISTINCT FROM 'skipped'
          AND (effect.state IN ('sending', 'unknown', 'confirmed')
            OR effect.state = 'planned' AND (effect.attempts = 0 OR effect.intent_at < asking.asked_at)
            OR effect.state = 'held' AND effect.intent_at IS NOT NULL))
""")
NOTE = text("""
    INSERT INTO handoff.askings (effect_id, effect_key, survey, contact_id, rule_id, via, language)
    VALUES (:effect_id, :effect_key, :survey, :contact_id, :rule_id, :via, :language)
    ON CONFLICT (effect_id) DO UPDATE SET asked_at = clock_timestamp(), language = EXCLUDED.language
""")


async def asked_recently(engine: AsyncEngine, effect: OpenEffect, call: Call) -> bool:
    """Tell whether the person was asked by the step's survey within its distance; never of a step without a survey.

    :param effect: that is to wait for its turn with this ``call``.
    """
    given = _given(effect, call)
    if given is None or not given["weeks"]:
        return False
    async with single_statements(engine) as connection:
        return await _recently(connection, given)


async def note(engine: AsyncEngine, effect: OpenEffect, call: Call) -> bool:
    """Note that the person is asked by the step's survey now, unless they were within its distance.

    Of a step without a survey nothing is noted.

    :param effect: about to be announced with this ``call``.
    :returns: ``False`` when the person was asked by another effect, and must not be by this one.
    """
    given = _given(effect, call)
    if given is None:
        return True
    async with engine.begin() as connection:
        contact_id = (await connection.execute(ALONE, given)).one().contact_id
        if given["weeks"] and await _recently(connection, given):
            return False
        noted = {"effect_key": call.key, "rule_id": effect.rule_id, "via": _via(call.step)}
        await connection.execute(NOTE, given | noted | {"contact_id": contact_id, "language": _language(call)})
        return True


async def _recently(connection: AsyncConnection, given: dict[str, object]) -> bool:
    return bool((await connection.execute(RECENTLY, given)).scalar_one())


def _given(effect: OpenEffect, call: Call) -> dict[str, object] | None:
    survey: str | None = getattr(call.step, "survey", None)
    weeks: int = getattr(call.step, "at_least_weeks_apart", 0)
    if survey is None:
        return None
    return {"survey": survey, "handoff_id": effect.handoff_id, "effect_id": effect.id, "weeks": weeks}


def _via(step: Step) -> str:
    vendor, _, action = step.step.partition(".")
    return vendor if action else OWN


def _language(call: Call) -> str:
    # Of a contact's languages only those with texts are stored; another one is empty here.
    chosen: str = getattr(call.step, "language", "contact")
    return (call.contact.language or call.rule.language) if chosen == "contact" else chosen
