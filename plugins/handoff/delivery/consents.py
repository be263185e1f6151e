"""Asking the ledger, just before a message goes out, whether it may: many effects in one query."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.consent import Standing, Subject, confirmed_only, refusal, subject_of
from handoff.ledger import consents
from handoff.ledger.connect import single_statements
from handoff.ledger.consents import Use
from handoff.ledger.journal import GATHER_SECONDS
from handoff.ledger.lanes import OpenEffect
from handoff.rules.rule import Rule


class Ground(NamedTuple):
    """Whether an effect has a legal ground.

    :param refusal: why it may not go out, see :func:`handoff.consent.refusal`; ``None`` when it may.
    :param use: what it rests on, ``None`` when it needs nothing.
    """

    refusal: str | None = None
    use: Use | None = None


async def refusals(engine: AsyncEngine, rule: Rule, contact_keys: Iterable[str]) -> dict[str, str]:
    """Return by contact key why the first step of the rule that needs a legal ground has none now, if it has none."""
    asking = next((step for step in rule.steps if subject_of(rule, step, "")), None)
    subjects = {key: subject_of(rule, asking, key) for key in contact_keys} if asking else {}
    async with single_statements(engine) as connection:
        known = await consents.standings(connection, {subject for subject in subjects.values() if subject})
    found = {key: _refusal(rule, known[subject]) for key, subject in subjects.items() if subject}
    return {key: reason for key, reason in found.items() if reason}


def _refusal(rule: Rule, standing: Standing) -> str | None:
    return refusal(rule.legal_basis, standing, confirmed=confirmed_only(rule, rule.purpose))


class Consents:
    """What one worker asks of the consent store; nothing is remembered from one question to the next."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._gathering: tuple[set[Subject], asyncio.Task[dict[Subject, Standing]]] | None = None

    async def ground(self, rule: Rule, effect: OpenEffect) -> Ground:
        """Return whether an effect may go out now; the ledger is asked for what is not service only."""
        subject = subject_of(rule, rule.steps[effect.step_no], effect.contact.key)
        if subject is None:
            return Ground()
        standing = await self._standing(subject)
        use = Use(effect.id, subject, standing.wording, rule.id, rule.legal_basis or "")
        return Ground(_refusal(rule, standing), use)

    async def _standing(self, subject: Subject) -> Standing:
        """Return what is known of a subject, read after this was called, together with what others ask."""
        if self._gathering is None:
            asked: set[Subject] = set()
            self._gathering = asked, asyncio.ensure_future(self._read(asked))
        subjects, reading = self._gathering
        subjects.add(subject)
        return (await reading)[subject]

    async def _read(self, subjects: set[Subject]) -> dict[Subject, Standing]:
        await asyncio.sleep(GATHER_SECONDS)
        # Whoever asks from now on asks for what may have changed since.
        self._gathering = None
        async with single_statements(self._engine) as connection:
            return await consents.standings(connection, subjects)
