"""What a worker needs beside the ledger: targets, their limits, and calls made from effects."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.answer import SOURCE as ANSWERS
from handoff.answer import TRIED
from handoff.delivery.by_hand import SOURCE as BY_HAND
from handoff.delivery.limiter import Limiter
from handoff.errors import TargetError
from handoff.ledger import opt_ins, registrations, rule_versions, survey_distance
from handoff.ledger.answers import answers_of
from handoff.ledger.lanes import OpenEffect
from handoff.ledger.occasions import occasion_from_row
from handoff.ledger.quotas import Quota
from handoff.occasion import Occasion
from handoff.planner import due_moment
from handoff.rule import Rule
from handoff.steps import Step
from handoff.target import Call, Target
from handoff.templates import RuleFacts, render_text, variables_of

OpenTarget = Callable[[str, str, "LimiterOf"], Coroutine[Any, Any, Target]]
"""Opens a target: ``(connection id, step name, limiter_of)``; the connection tells the rate."""

BATCH = text("""
    SELECT batch.rule_id, batch.rule_version, occasion.* FROM handoff.batches AS batch
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id WHERE batch.id = :id
""")


class LimiterOf(Protocol):
    """Gives an account's limiter: requests a second over all workers, and its requests of a day."""

    def __call__(self, rate: float | None, quota: Quota | None = None) -> Limiter:
        """Return the one limiter that this worker has for the account."""
        ...


class Planned(NamedTuple):
    """What a batch's effects have in common: the rule in the version it is pinned to, and the occasion.

    :param due_at: the moment (UTC) as it is by the occasion's latest date; ``None`` for one given by hand.
    """

    rule: Rule
    occasion: Occasion
    due_at: datetime | None


class Desk:
    """Opens each target account once, however many lanes ask at a time, and turns effects into calls."""

    def __init__(self, engine: AsyncEngine, open_target: OpenTarget) -> None:
        self._engine, self._open = engine, open_target
        self._targets: dict[str, asyncio.Task[Target]] = {}
        self._limiters: dict[str, Limiter] = {}
        self._batches: dict[tuple[int, int], asyncio.Task[Planned]] = {}

    async def target(self, account: str, step: str) -> Target:
        """Return the account's target, opened once for this worker; one that could not be opened is tried again."""
        if account not in self._targets:
            opening = asyncio.ensure_future(self._open(account, step, partial(self._limiter, account)))
            self._targets[account] = opening
        opening = self._targets[account]
        try:
            return await opening
        except TargetError:
            if self._targets.get(account) is opening:
                del self._targets[account]
            raise

    def limiter(self, account: str) -> Limiter:
        """Return the account's limiter; its target has been opened before."""
        return self._limiters[account]

    def _limiter(self, account: str, rate: float | None, quota: Quota | None = None) -> Limiter:
        return self._limiters.setdefault(account, Limiter(self._engine, account, rate, quota))

    async def batch(self, batch_id: int, occasion_version: int = 0) -> Planned:
        """Return what a batch's effects have in common.

        :param occasion_version: the occasion is read again when it is newer than when it was read first.
        """
        known = batch_id, occasion_version
        if known not in self._batches:
            self._batches[known] = asyncio.ensure_future(self._load(batch_id))
        return await self._batches[known]

    async def look_again(self, effect: OpenEffect) -> None:
        """Read what became of an effect's occasion since its lane was claimed."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(BATCH, {"id": effect.batch_id})).mappings().one()
        effect.cancelled, effect.occasion_version = row["cancelled"], row["version"]

    async def _load(self, batch_id: int) -> Planned:
        async with self._engine.connect() as connection:
            row = (await connection.execute(BATCH, {"id": batch_id})).mappings().one()
            rule = await rule_versions.load(connection, row["rule_id"], row["rule_version"])
        occasion = occasion_from_row(row)
        return Planned(rule, occasion, None if occasion.source == BY_HAND else due_moment(rule, occasion))

    async def prepare(self, batch_id: int) -> None:
        """Open the batch's targets and let them connect and resolve names ahead of its moment.

        :raises TargetError: when one of them cannot; its calls will say so themselves.
        """
        for step in (await self.batch(batch_id)).rule.steps:
            await (await self.target(step.conn_id, step.step)).prepare(step)

    async def call(self, effect: OpenEffect, known: dict[str, Any]) -> Call:
        """Return the call that carries out an effect.

        :raises TemplateError: when a small template of the step cannot be rendered.
        """
        rule, occasion, _ = await self.batch(effect.batch_id, effect.occasion_version)
        facts = RuleFacts(rule.id, rule.title, rule.language, rule.purpose, rule.legal_basis or "")
        more = await self._more(effect, rule, occasion)
        variables = variables_of(effect.contact, occasion, facts) | more
        step = rendered(rule.steps[effect.step_no], variables)
        key = effect_key(rule.id, occasion, effect.contact.key, effect.step_no)
        return Call(key=key, step=step, contact=effect.contact, occasion=occasion, rule=facts, known=known, more=more)

    async def _more(self, effect: OpenEffect, rule: Rule, occasion: Occasion) -> dict[str, Any]:
        """Return what else is shown, read now: it may have been erased, or changed, since it was judged."""
        if rule.tells_details:
            async with self._engine.connect() as connection:
                return {"entry": await registrations.details(connection, effect.batch_id, effect.contact.key)}
        if rule.source != ANSWERS:
            return {}
        if occasion.source == BY_HAND:
            return {"answer": TRIED}
        async with self._engine.connect() as connection:
            answer = await answers_of(connection, occasion.facts)
        return {"answer": answer} if answer else {}

    async def asked_recently(self, effect: OpenEffect, call: Call) -> bool:
        """Tell whether the step asks the person too soon again; see :mod:`handoff.ledger.survey_distance`."""
        return await survey_distance.asked_recently(self._engine, effect, call)

    async def opt_in_refusal(self, effect: OpenEffect, call: Call) -> str | None:
        """Return why a confirmation mail must not go out; see :mod:`handoff.ledger.opt_ins`."""
        return await opt_ins.opt_in_refusal(self._engine, effect, call)

    async def close(self) -> None:
        """Close every target."""
        for opened in await asyncio.gather(*self._targets.values(), return_exceptions=True):
            if not isinstance(opened, BaseException):
                await opened.close()


def rendered(step: Step, variables: dict[str, Any]) -> Step:
    """Return the step with its templates rendered."""
    templates = {name: given for name in step.rendered if (given := getattr(step, name, None))}
    if not templates:
        return step
    return step.model_copy(update={name: _rendered(given, variables) for name, given in templates.items()})


def _rendered(given: str | dict[str, str], variables: dict[str, Any]) -> str | dict[str, str]:
    if isinstance(given, str):
        return render_text(given, variables)
    return {name: render_text(template, variables) for name, template in given.items()}


def effect_key(rule_id: str, occasion: Occasion, contact_key: str, step_no: int) -> str:
    """Return the effect's stable name, the same for every attempt, for ever."""
    parts = (rule_id, occasion.source, occasion.account, occasion.key, contact_key, str(step_no))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
