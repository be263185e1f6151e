"""What an earlier run left for a sandbox that has gone is closed, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.answer import ACCOUNT, SOURCE
from handoff.ledger import cursors
from handoff.occasion import Occasion
from handoff.planning.planner import plan_new_rules, record
from handoff.rules.rule import Rule
from launch import leftovers
from tests.support.rows import change, rows


def noting(**values: object) -> Rule:
    steps = [{"step": "insightly.note"}]
    given = {"id": "note", "title": "N", "source": "survey", "when": {"days": 1, "after": "answered"}, "steps": steps}
    return Rule.model_validate(given | values)


def answer(key: str, account: str) -> Occasion:
    facts: dict[str, object] = {"rating": 9, "account": account}
    return Occasion(SOURCE, ACCOUNT, key, "s", {"answered": datetime.now(UTC)}, series="s", facts=facts)


async def test_notes_for_the_crm_that_has_gone_are_cancelled_others_wait(ledger: AsyncEngine) -> None:
    await record(ledger, [answer("1/1", "insightly_default"), answer("2/1", "insightly_real")], [noting()])
    async with ledger.begin() as connection:
        await connection.run_sync(leftovers.close)
    found = await rows(ledger, """
        SELECT occasion.key, batch.state, batch.reason FROM handoff.batches AS batch
        JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id ORDER BY occasion.key
    """)  # fmt: skip
    assert found == [("1/1", "cancelled", "sandbox_ended"), ("2/1", "waiting", "")]


async def test_reminders_of_appointments_that_have_gone_are_cancelled_others_wait(ledger: AsyncEngine) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=2)
    for account in ("etermin_default", "etermin_real"):
        facts: dict[str, object] = {"event": "created", "appointment": account}
        occasion = Occasion("etermin", account, account, "Termin", {"start": tomorrow}, facts=facts)
        steps = [{"step": "email", "template": "appointment_reminder"}]
        given = {"title": "R", "source": "etermin", "when": {"days": 1, "before": "start"}, "steps": steps}
        await record(ledger, [occasion], [Rule.model_validate(given | {"id": f"r_{account}", "conn_id": account})])
    async with ledger.begin() as connection:
        await connection.run_sync(leftovers.close)
    found = await rows(ledger, "SELECT rule_id, state FROM handoff.batches ORDER BY rule_id")
    assert found == [("r_etermin_default", "cancelled"), ("r_etermin_real", "waiting")]


async def test_the_new_sandbox_is_read_from_the_beginning(ledger: AsyncEngine) -> None:
    read_to = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    left = dict[str, tuple[str | None, str]]()
    async with ledger.begin() as connection:
        for account in ("insightly_default", "insightly_real"):
            await cursors.write(connection, "insightly", account, read_to)
            await cursors.poke(connection, "insightly", account)
        await connection.run_sync(leftovers.close)
        for account in ("insightly_default", "insightly_real"):
            poked = await cursors.poked(connection, "insightly", account)
            left[account] = await cursors.read(connection, "insightly", account), poked
    assert left == {"insightly_default": (None, ""), "insightly_real": (read_to, "1")}


async def test_what_happened_before_the_new_sandbox_began_is_history(ledger: AsyncEngine) -> None:
    closed = datetime.now(UTC) - timedelta(hours=3)
    facts: dict[str, object] = {"record": "opportunity/31", "state": "won"}
    for account in ("insightly_default", "insightly_real"):
        steps = [{"step": "klicktipp.tag", "tag": "Kunde"}]
        given = {"title": "W", "source": "insightly", "when": {"minutes": 0, "after": "closed"}, "steps": steps}
        rule = Rule.model_validate(given | {"id": f"r_{account}", "conn_id": account})
        await plan_new_rules(ledger, "insightly", account, [rule])
        await change(ledger, "UPDATE handoff.rule_versions SET created_at = now() - interval '9 days'")
        async with ledger.begin() as connection:
            await connection.run_sync(leftovers.close)
        won = Occasion("insightly", account, "opportunity/31/1", "Chance", {"closed": closed}, facts=facts)
        await record(ledger, [won], [rule])
    found = await rows(ledger, "SELECT rule_id, state FROM handoff.batches ORDER BY rule_id")
    assert found == [("r_insightly_default", "missed"), ("r_insightly_real", "waiting")]
