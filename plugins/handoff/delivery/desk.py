"""What a worker needs beside the ledger: targets, their limits, and calls made from effects."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.answer import SOURCE as ANSWERS
from handoff.answer import TRIED
from handoff.delivery.by_hand import SOURCE as BY_HAND
from handoff.delivery.limiter import Limiter
from handoff.delivery.once import Once, Opened
from handoff.errors import TargetError
from handoff.ledger import batches, opt_ins, registrations, rule_versions, survey_distance
from handoff.ledger.answers import answers_of
from handoff.ledger.connect import single_statements
from handoff.ledger.lanes import OpenEffect
from handoff.ledger.occasions import occasion_from_row
from handoff.ledger.quotas import Quota
from handoff.occasion import Occasion
from handoff.rules.rule import Rule
from handoff.rules.steps import Step
from handoff.target import Call, Target, effect_key
from handoff.texts.templates import RuleFacts, render_text, variables_of

OpenTarget = Callable[[str, str, "LimiterOf"], Coroutine[Any, Any, Target]]
"""Opens a target: ``(connection id, step name, limiter_of)``; the connection tells the rate."""


class LimiterOf(Protocol):
    """Gives an account's limiter: requests a second over all workers, and its requests of a day."""

    def __call__(self, rate: float | None, quota: Quota | None = None) -> Limiter:
        """Return the one limiter that this worker has for the account."""
        ...


class Planned(NamedTuple):
    """What a batch's effects have in common: the rule in the version it is pinned to, and the occasion.

    :param due_at: the moment (UTC) as it is by the occasion's latest date; ``None`` for one given by hand.
    :param round: see :class:`handoff.ledger.schema.Batch`.
    """

    rule: Rule
    occasion: Occasion
    due_at: datetime | None
    round: int = 0


class _Read(NamedTuple):
    planned: Planned
    rule_version: int
    occasion_version: int


class _News(NamedTuple):
    known_at: float
    cancelled: bool
    version: int
    newer_round: bool


class Desk:
    """Opens each target account once, however many lanes ask at a time, and turns effects into calls."""

    def __init__(self, engine: AsyncEngine, open_target: OpenTarget) -> None:
        self._engine, self._open = engine, open_target
        self._targets = Opened[str, Target]()
        self._limiters: dict[str, Limiter] = {}
        self._batches = Once[int, _Read]()
        self._news = Once[int, _News]()

    async def target(self, account: str, step: str) -> Target:
        """Return the account's target, opened once for this worker; one that could not be opened is tried again."""
        return await self._targets.of(account, lambda: self._open(account, step, partial(self._limiter, account)))

    def limiter(self, account: str) -> Limiter:
        """Return the account's limiter; its target has been opened before."""
        return self._limiters[account]

    def _limiter(self, account: str, rate: float | None, quota: Quota | None = None) -> Limiter:
        return self._limiters.setdefault(account, Limiter(self._engine, account, rate, quota))

    async def batch(self, effect: OpenEffect, since: float) -> Planned:
        """Return what the effects of this effect's batch have in common.

        What :meth:`prepare` read before the batch was judged is used, unless rule or occasion are others by now.

        :param since: by ``time.monotonic``; what became of the occasion is read anew if that was last done before.
        """
        if effect.known_at < since:
            await self._look_again(effect, since)
        read = await self._read(effect.batch_id)
        if read.rule_version != effect.rule_version or read.occasion_version < effect.occasion_version:
            self._batches.forget(effect.batch_id, read)
            read = await self._read(effect.batch_id)
        return read.planned

    async def _look_again(self, effect: OpenEffect, since: float) -> None:
        """Let an effect know what became of its occasion: one look serves all effects of its batch."""
        look = partial(self._look, effect.batch_id)
        news = await self._news.of(effect.batch_id, look)
        if news.known_at < since:
            self._news.forget(effect.batch_id, news)
            news = await self._news.of(effect.batch_id, look)
        effect.cancelled, effect.occasion_version = news.cancelled, news.version
        effect.newer_round, effect.known_at = news.newer_round, news.known_at

    async def _look(self, batch_id: int) -> _News:
        asked_at = time.monotonic()
        async with single_statements(self._engine) as connection:
            row = await batches.as_it_is(connection, batch_id)
        return _News(asked_at, row["cancelled"], row["version"], row["newer_round"])

    async def _read(self, batch_id: int) -> _Read:
        return await self._batches.of(batch_id, lambda: self._load(batch_id))

    async def _load(self, batch_id: int) -> _Read:
        async with self._engine.connect() as connection:
            row = await batches.as_it_is(connection, batch_id)
            rule = await rule_versions.load(connection, row["rule_id"], row["rule_version"])
        occasion = occasion_from_row(row)
        due_at = None if occasion.source == BY_HAND else rule.due(occasion)
        return _Read(Planned(rule, occasion, due_at, row["round"]), row["rule_version"], row["version"])

    async def prepare(self, batch_id: int) -> None:
        """Open the batch's targets and let them connect and resolve names ahead of its moment.

        No account waits for another. Of one that cannot be prepared its calls will say so themselves.
        """
        by_account: dict[str, list[Step]] = {}
        for step in (await self._read(batch_id)).planned.rule.steps:
            by_account.setdefault(step.conn_id, []).append(step)
        async with asyncio.TaskGroup() as group:
            for account, steps in by_account.items():
                group.create_task(self._prepare(account, steps))

    async def _prepare(self, account: str, steps: Sequence[Step]) -> None:
        for step in steps:
            with contextlib.suppress(TargetError):
                await (await self.target(account, step.step)).prepare(step)

    async def call(self, effect: OpenEffect, planned: Planned, known: dict[str, Any]) -> Call:
        """Return the call that carries out an effect.

        :param planned: see :meth:`batch`. :param known: see :class:`handoff.target.Call`.
        :raises TemplateError: when a small template of the step cannot be rendered.
        """
        rule, occasion, _, number = planned
        facts = RuleFacts(rule.id, rule.title, rule.language, rule.purpose, rule.legal_basis or "")
        more = await self._more(effect, rule, occasion)
        variables = variables_of(effect.contact, occasion, facts) | more
        step = rendered(rule.steps[effect.step_no], variables)
        key = effect_key(rule.id, occasion, effect.contact.key, effect.step_no, number)
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

    async def may_ask(self, effect: OpenEffect, call: Call) -> bool:
        """Note that the step asks the person now, unless it is too soon; see :mod:`handoff.ledger.survey_distance`."""
        return await survey_distance.note(self._engine, effect, call)

    async def opt_in_refusal(self, rule: Rule, effect: OpenEffect, call: Call) -> str | None:
        """Return why a confirmation mail must not go out; see :mod:`handoff.ledger.opt_ins`."""
        return await opt_ins.opt_in_refusal(self._engine, rule, effect, call)

    async def close(self) -> None:
        """Close every target."""
        await self._targets.close()


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
