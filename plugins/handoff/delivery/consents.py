"""Asking the ledger, just before a message goes out, whether it may: many effects in one query."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.consent import SERVICE, Standing, Subject, channel_of, refusal
from handoff.ledger import consents
from handoff.ledger.connect import single_statements
from handoff.ledger.consents import Use
from handoff.ledger.journal import GATHER_SECONDS
from handoff.ledger.lanes import OpenEffect
from handoff.rule import Rule


class Ground(NamedTuple):
    """Whether an effect has a legal ground.

    :param refusal: why it may not go out, see :func:`handoff.consent.refusal`; ``None`` when it may.
    :param use: what it rests on, ``None`` when it needs nothing.
    """

    refusal: str | None = None
    use: Use | None = None


class Consents:
    """What one worker asks of the consent store; nothing is remembered from one question to the next."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._gathering: tuple[set[Subject], asyncio.Task[dict[Subject, Standing]]] | None = None

    async def ground(self, rule: Rule, effect: OpenEffect) -> Ground:
        """Return whether an effect may go out now; the ledger is asked for messages that are not service only."""
        step = rule.steps[effect.step_no]
        if rule.purpose == SERVICE or not step.to_person:
            return Ground()
        subject = Subject(effect.contact.key, channel_of(step), rule.purpose)
        standing, basis = await self._standing(subject), rule.legal_basis
        use = Use(effect.id, subject, standing.wording, rule.id, basis or "")
        return Ground(refusal(basis, standing), use)

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
