"""The first task of a rule's DAG: claim what is due soon and read its lists ahead of the moment."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.by_hand import hand_over
from handoff.delivery.lease import kept
from handoff.delivery.looking_ahead import look, start_early
from handoff.delivery.moment import first_looks
from handoff.ledger import batches, bells, resets
from handoff.ledger.batches import WaitingBatch
from handoff.rules.rule import Rule
from handoff.rules.trigger_form import ONE_CONTACT, RESET, TriggerForm, UnusableForm, read
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
        form = _form(rule, context)
        async with open_engine(self.ledger_conn_id) as engine, open_sources(engine) as sources:
            await self._by_hand(engine, rule, form, context)
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

    async def _by_hand(self, engine: AsyncEngine, rule: Rule, form: TriggerForm, context: Context) -> None:
        """Do what the form says of the contacts that it names; a reset is all that its run does."""
        if form.mode == ONE_CONTACT:
            key = f"{rule.id}/{context['run_id']}"
            await hand_over(engine, rule, key=key, people=form.people, title=form.title, anchors=form.anchors)
        elif form.mode == RESET:
            await _reset(engine, rule, form, context)
            self.log.info("%s contacts reset; this run sends nothing", len(form.people))
            later = sorted(self.get_flat_relative_ids(upstream=False))
            raise DownstreamTasksSkipped(tasks=later)  # type: ignore[no-untyped-call]


def _form(rule: Rule, context: Context) -> TriggerForm:
    try:
        return read(rule, context["params"])
    except UnusableForm as unusable:
        raise AirflowFailException(str(unusable)) from None


async def _reset(engine: AsyncEngine, rule: Rule, form: TriggerForm, context: Context) -> None:
    """Let the contacts of the form pass through the rule again, at the occasions to come: all of them or none."""
    keys = [person.key for person in form.people]
    by = getattr(context.get("dag_run"), "triggering_user_name", None) or ""
    async with engine.begin() as connection:
        done = await resets.add(connection, keys, rule.id, by=by, because=f"trigger form, run {context['run_id']}")
        if done < len(keys):
            words = f"the data of {len(keys) - done} of these {len(keys)} contacts was erased"
            raise AirflowFailException(f"nobody was reset: {words}, and nobody erased is handed over again")
