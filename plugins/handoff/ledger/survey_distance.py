"""The minimum distance between two surveys to one person (Mindestabstand), whoever asks: own mail or a vendor."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.answer import OWN
from handoff.ledger.lanes import OpenEffect
from handoff.rules.steps import Step
from handoff.target import Call

ASKED_RECENTLY = "asked_recently"

# Two effects that ask the same person the same thing look one after the other.
ALONE = text("""
    SELECT contact_id, pg_advisory_xact_lock(hashtext('handoff-survey/' || contact_id || '/' || :survey))
    FROM handoff.handoffs WHERE id = :handoff_id
""")
# What is on its way or in doubt counts as well: it may arrive. Whom a vendor left out was not asked.
RECENTLY = text("""
    SELECT EXISTS (
        SELECT FROM handoff.askings AS asking JOIN handoff.effects AS effect ON effect.id = asking.effect_id
        WHERE asking.contact_id = :contact_id AND asking.survey = :survey AND asking.effect_id <> :effect_id
          AND asking.asked_at > clock_timestamp() - make_interval(weeks => :weeks)
          AND effect.proof ->> 'state' IS DISTINCT FROM 'skipped'
          AND (effect.state IN ('planned', 'sending', 'unknown', 'confirmed')
            OR effect.state = 'held' AND effect.intent_at IS NOT NULL))
""")
NOTE = text("""
    INSERT INTO handoff.askings (effect_id, effect_key, survey, contact_id, rule_id, via, language)
    VALUES (:effect_id, :effect_key, :survey, :contact_id, :rule_id, :via, :language)
    ON CONFLICT (effect_id) DO UPDATE SET asked_at = clock_timestamp(), language = EXCLUDED.language
""")


async def asked_recently(engine: AsyncEngine, effect: OpenEffect, call: Call) -> bool:
    """Tell whether the person was asked by the step's survey within its distance; if not, note that they are now.

    Of a step without a survey nothing is asked and nothing noted.

    :param effect: about to go out with this ``call``.
    """
    survey: str | None = getattr(call.step, "survey", None)
    if survey is None:
        return False
    async with engine.begin() as connection:
        given = {"survey": survey, "handoff_id": effect.handoff_id, "effect_id": effect.id}
        contact_id = (await connection.execute(ALONE, given)).one().contact_id
        weeks = getattr(call.step, "at_least_weeks_apart", 0)
        if weeks and await _recently(connection, given | {"contact_id": contact_id, "weeks": weeks}):
            return True
        noted = {"effect_key": call.key, "rule_id": effect.rule_id, "via": _via(call.step)}
        await connection.execute(NOTE, given | noted | {"contact_id": contact_id, "language": _language(call)})
        return False


async def _recently(connection: AsyncConnection, parameters: dict[str, object]) -> bool:
    return bool((await connection.execute(RECENTLY, parameters)).scalar_one())


def _via(step: Step) -> str:
    vendor, _, action = step.step.partition(".")
    return vendor if action else OWN


def _language(call: Call) -> str:
    # Of a contact's languages only those with texts are stored; another one is empty here.
    chosen: str = getattr(call.step, "language", "contact")
    return (call.contact.language or call.rule.language) if chosen == "contact" else chosen
