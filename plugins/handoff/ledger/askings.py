"""Who was asked by a survey, found again when the answer arrives."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Asked:
    """One effect that asked a person.

    :param language: ``"de"`` or ``"en"``, the one asked in.
    :param occasion_id: the occasion because of which was asked.
    """

    effect_id: int
    effect_key: str
    survey: str
    via: str
    contact_id: int
    rule_id: str
    occasion_id: int
    language: str


SELECT = """
    SELECT asking.effect_id, asking.effect_key, asking.survey, asking.via, asking.contact_id, asking.rule_id,
        batch.occasion_id, asking.language
    FROM handoff.askings AS asking
    JOIN handoff.effects AS effect ON effect.id = asking.effect_id
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    JOIN handoff.contacts AS contact ON contact.id = asking.contact_id
"""
# An answer that was made nobody's is not taken again.
BY_KEY = text(f"""
    {SELECT} WHERE asking.effect_key = :effect_key AND NOT contact.erased
      AND NOT EXISTS (SELECT FROM handoff.answers AS answer WHERE answer.via = asking.via
        AND answer.survey = asking.survey AND answer.ref = asking.effect_key AND answer.rating IS NULL)
""")
IS_OVER = text("""
    SELECT EXISTS (SELECT FROM handoff.askings WHERE effect_key = :effect_key)
        OR EXISTS (SELECT FROM handoff.erased WHERE key = :contact_key)
""")
LATEST = text(f"""
    {SELECT} WHERE contact.key = :contact_key AND asking.survey = :survey AND asking.via = :via AND NOT contact.erased
    ORDER BY asking.asked_at DESC, asking.effect_id DESC LIMIT 1
""")


async def by_effect_key(connection: AsyncConnection, effect_key: str) -> Asked | None:
    """Return who was asked by an effect and may still answer.

    ``None`` when none did, or when the person's data was erased or the answer's retention period has ended since.
    """
    row = (await connection.execute(BY_KEY, {"effect_key": effect_key})).one_or_none()
    return Asked(*row) if row else None


async def latest(connection: AsyncConnection, *, survey: str, via: str, contact_key: str) -> Asked | None:
    """Return when a person was asked last by a survey in this way; ``None`` when never, or when erased.

    :param contact_key: see :attr:`handoff.contact.Contact.key`. :param via: e.g. ``"callexa"``.
    """
    given = {"survey": survey, "via": via, "contact_key": contact_key}
    row = (await connection.execute(LATEST, given)).one_or_none()
    return Asked(*row) if row else None


async def is_over(connection: AsyncConnection, *, effect_key: str, contact_key: str) -> bool:
    """Tell, of an answer for which nobody is found, whether it must not be taken.

    That is so when the person's data was erased, or when the answer's retention period has ended.

    :param effect_key: of the effect that asked, empty when the answer does not tell it.
    :param contact_key: of who answered, empty when the answer does not tell it.
    """
    given = {"effect_key": effect_key, "contact_key": contact_key}
    return bool((await connection.execute(IS_OVER, given)).scalar_one())
