"""Answers that Callexa reports, taken into the ledger as those of the people whom it asked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.answer import GivenAnswer
from handoff.contact import Contact, UnusableAddress, normalise_email
from handoff.ledger import answers, askings
from handoff.ledger.askings import Asked
from handoff.planning.answering import record_answer
from handoff.rules.rule import Rule
from hooks.callexa import CallexaHook
from hooks.protocols.callexa_assumed import Answer

EFFECT_KEY = re.compile("[0-9a-f]{32}")
Outcome = Literal["new", "changed", "unchanged", "strangers", "left_out"]


@dataclass(frozen=True, slots=True)
class CallexaSurvey:
    """One survey of a Callexa account.

    :param account: Airflow connection id. :param names: what steps of rules call it.
    """

    account: str
    id: str
    names: tuple[str, ...]


async def take(connection: AsyncConnection, survey: CallexaSurvey, answer: Answer, rules: Sequence[Rule]) -> Outcome:
    """Take an answer: stored once, changed in place, and an event if this ledger asked for it.

    Of somebody whom the ledger never asked only the rating is kept, for the NPS.

    :param connection: in a transaction that is committed afterwards. :param rules: as they are now.
    :returns: ``new``; ``changed``; ``unchanged``: known already; ``strangers``: new, of somebody whom the ledger never
        asked; ``left_out``: the person's data was erased, or the answer's retention period has ended.
    """
    effect_key, contact_key = _effect_key(answer), _contact_key(answer.email)
    asked = await _asked(connection, survey, effect_key, contact_key)
    if asked is None and await askings.is_over(connection, effect_key=effect_key, contact_key=contact_key):
        return "left_out"
    given = _given(survey, answer, effect_key, asked)
    before = await answers.find(connection, via=given.via, survey=given.survey, ref=given.ref)
    now = await record_answer(connection, given, rules)
    if now is None:
        return "left_out"
    if before is None:
        return "new" if asked else "strangers"
    return "unchanged" if before.version == now.version else "changed"


async def _asked(connection: AsyncConnection, survey: CallexaSurvey, effect_key: str, contact_key: str) -> Asked | None:
    """Return who was asked: by our own id if Callexa shows one, else the last time that the address was asked."""
    if effect_key:
        return await askings.by_effect_key(connection, effect_key)
    for name in survey.names if contact_key else ():
        if asked := await askings.latest(connection, survey=name, via=CallexaHook.conn_type, contact_key=contact_key):
            return asked
    return None


def _given(survey: CallexaSurvey, answer: Answer, effect_key: str, asked: Asked | None) -> GivenAnswer:
    """Return the answer as the ledger takes it.

    What it is known by depends on nothing but what Callexa says, so that it is found again when the person is not.
    """
    ref = effect_key or _digest(survey.account, survey.id, answer.id)
    if asked is None:
        return GivenAnswer(survey.names[0], answer.rating, ref, answer.answered_at, via=CallexaHook.conn_type)
    return GivenAnswer(
        asked.survey, answer.rating, ref, answer.answered_at, answer.comment, CallexaHook.conn_type,
        contact_id=asked.contact_id, effect_id=asked.effect_id, rule_id=asked.rule_id, occasion_id=asked.occasion_id,
    )  # fmt: skip


def _effect_key(answer: Answer) -> str:
    """Return the key of the effect that asked; empty when the answer shows none, or a recipient of somebody else's."""
    given = answer.external_id.strip().lower()
    return given if EFFECT_KEY.fullmatch(given) else ""


def _contact_key(email: str) -> str:
    try:
        return Contact(normalise_email(email)).key
    except UnusableAddress:
        return ""


def _digest(*parts: str) -> str:
    """Return a name without an address, whatever Callexa's ids are made of."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
