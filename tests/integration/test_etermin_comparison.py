"""The sweep's comparison of an eTermin account whose contacts cannot be looked up now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.comparison import Compared, compare_account
from tests.support.etermin_world import CONN, ETermin, rule
from tests.support.rows import rows

pytestmark = pytest.mark.integration
REMINDER = rule("reminder", {"hours": 1, "before": "start"})
ASKING = rule("asking", {"hours": 2, "before": "start"}, newsletter_only=True)
WAITING = """
    SELECT occasion.key, batch.state, batch.due_at FROM handoff.batches AS batch
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE batch.rule_id = 'reminder' ORDER BY occasion.key
"""


async def compared(etermin: ETermin) -> tuple[Compared, int]:
    """Compare as the sweep does; return what that found, and how often appointments were asked for."""
    rules, before = etermin.rules(REMINDER, ASKING), _asked(etermin)
    source = await etermin.source()

    async def opened(*_: str) -> Any:
        return source

    try:
        found = await compare_account(etermin.ledger, opened, ("etermin", CONN), rules)
    finally:
        await source.close()
    return found, _asked(etermin) - before


def _asked(etermin: ETermin) -> int:
    calls: dict[str, dict[str, int]] = etermin.sandbox.calls.as_json()["etermin"]["paths"]
    return sum(calls.get("GET /appointment", {}).values())


@pytest.mark.parametrize("fault", ["429", "500", "drop_before_commit"])
async def test_contacts_that_cannot_be_looked_up_cost_nothing_and_make_nobody_gone(
    etermin: ETermin, ledger: AsyncEngine, fault: str
) -> None:
    etermin.rules(REMINDER)
    for number in range(3):
        await etermin.book(f"a{number}", start="+5h", email=f"person{number}@example.org")
    await etermin.poll()
    before = await rows(ledger, WAITING)
    await etermin.order("move", uid="a1", start="+6h")
    await etermin.order("cancel", uid="a2")
    await etermin.fault("/contact", fault)
    found, asked = await compared(etermin)
    assert (found.troubles, found.read_at is None) == ([], False), "else all is read again five minutes later"
    assert asked == 1, "nobody on the list is asked for alone"
    kept, moved, gone = await rows(ledger, WAITING)
    assert kept == before[0]
    assert (moved[1], gone[1]) == ("waiting", "cancelled")
    assert moved[2] - before[1][2] > timedelta(minutes=50), "what was moved is not kept from anybody either"
