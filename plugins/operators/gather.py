"""The first task of a rule's DAG: claim what is due soon and read its lists ahead of the moment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact, UnusableAddress, normalise_email
from handoff.delivery.by_hand import hand_over
from handoff.delivery.lease import kept
from handoff.delivery.looking_ahead import look, start_early
from handoff.delivery.moment import first_looks
from handoff.ledger import batches, bells, resets
from handoff.ledger.batches import WaitingBatch
from handoff.recipients import UnusableLine, recipients
from handoff.rule import Rule
from operators.limits import declare_limits
from operators.rule_operator import RuleOperator
from operators.work import open_engine, open_sources, run_owner

CONTACTS_A_SHARD, MOST_SHARDS = 5_000, 16
SLACK_SECONDS = 5.0


class GatherOperator(RuleOperator):
    """Claims the rule's batches that are due soon and stores what their sources list now.

    :returns: one number a shard; the delivery is mapped over them.
    """

    async def aexecute(self, context: Context) -> list[int]:
        """Claim, read, and say how many shards the delivery needs."""
        rule, owner = Rule.model_validate(self.rule), run_owner(context)
        async with open_engine(self.ledger_conn_id) as engine, open_sources(engine) as sources:
            if context["params"].get("mode") == "one_contact":
                await self._by_hand(engine, rule, context)
            async with engine.begin() as connection:
                # Starting a task takes part of the lead: until deliver has begun, nobody renews the lease.
                lead = await bells.lead_seconds(connection)
                horizon = lead + SLACK_SECONDS
                claimed = await batches.claim(connection, rule.id, owner, horizon=horizon, seconds=lead)
            async with kept(engine, owner, seconds=lead):
                listed = await first_looks(engine, claimed, sources)
                if early := [batch for batch in claimed if batch.moment > datetime.now(UTC)]:
                    await self._look_ahead(engine, rule, early, owner)
        shards = min(max(1, math.ceil(listed / CONTACTS_A_SHARD)), MOST_SHARDS)
        self.log.info("%s batches claimed, %s entries listed, %s shards", len(claimed), listed, shards)
        return list(range(shards))

    async def _look_ahead(self, engine: AsyncEngine, rule: Rule, claimed: list[WaitingBatch], owner: str) -> None:
        """Say whether they will be on time, and start early where the rule wants it."""
        await declare_limits(engine, [rule])
        latest = max(batch.due_at for batch in claimed) - datetime.now(UTC)
        async with engine.begin() as connection:
            found = await look(connection, max(latest, timedelta()))
            mine = [one for one in found if one.ahead.batch_id in {batch.id for batch in claimed}]
            await start_early(connection, mine, owner)
        for one in mine:
            self.log.info("batch %s: %s", one.ahead.batch_id, one.outlook.in_words())

    async def _by_hand(self, engine: AsyncEngine, rule: Rule, context: Context) -> None:
        params, now = context["params"], datetime.now(UTC)
        anchors = {name: _moment_given(params, f"occasion_{name}", now) for name in rule.anchors}
        people, key = _people(params), f"{rule.id}/{context['run_id']}"
        if params.get("reset"):
            await _reset(engine, rule, people, context)
        await hand_over(engine, rule, key=key, people=people, title=params["occasion_title"], anchors=anchors)


async def _reset(engine: AsyncEngine, rule: Rule, people: list[Contact], context: Context) -> None:
    """Let the contacts of the form pass through the rule again, at the occasions to come."""
    keys = [person.key for person in people]
    by = getattr(context.get("dag_run"), "triggering_user_name", None) or ""
    async with engine.begin() as connection:
        await resets.add(connection, keys, rule.id, by=by, because=f"trigger form, run {context['run_id']}")


def _people(params: Mapping[str, Any]) -> list[Contact]:
    """Return the one contact of the form, and those of its list."""
    email, language = params.get("email"), params["language"]
    listed = params.get("recipients") or ""
    try:
        one = [] if listed and not email else [normalise_email(email)]
        people = recipients(listed, language)
    except UnusableAddress as unusable:
        raise AirflowFailException(f"the e-mail address in the form cannot be used: {unusable.reason}") from None
    except UnusableLine as unusable:
        raise AirflowFailException(str(unusable)) from None
    names = params.get("first_name") or "", params.get("last_name") or ""
    return [*(Contact(address, *names, language=language) for address in one), *people]


def _moment_given(params: Mapping[str, Any], name: str, now: datetime) -> datetime:
    """Return a moment of the form (aware), ``now`` when it was left empty."""
    try:
        given = datetime.fromisoformat(params[name]) if params.get(name) else now
    except ValueError:
        words = f"{name} in the form is no date and time; write it like 2026-11-20T18:00:00+01:00"
        raise AirflowFailException(words) from None
    if given.tzinfo is None:
        raise AirflowFailException(f"{name} in the form has no time zone; write it like 2026-11-20T18:00:00+01:00")
    return given
