"""What the targets of all vendors have in common: their connection's settings, and whose requests they use up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import Connection

from handoff.delivery.purpose import FINISHING, SETTLING, Purposes, purposes_now
from handoff.errors import Transient
from handoff.ledger.quotas import Limits, Quota
from handoff.rules.steps import ActiveCampaignTag, CallexaRecipient, InsightlyNote, KlickTippTag, QuentnTerm, Step
from handoff.target import Promise
from hooks.accounts import VENDORS
from tests.support.calls import a_call

NOWHERE = "http://127.0.0.1:1"
STATUSES = {f"mail_status_{name}": number for number, name in enumerate(("unknown", "single", "double"))}
STEPS: dict[str, Step] = {
    "klicktipp": KlickTippTag(step="klicktipp.tag", tag="Webinar"),
    "activecampaign": ActiveCampaignTag(step="activecampaign.tag", tag="Webinar", bulk="never"),
    "insightly": InsightlyNote(step="insightly.note"),
    "callexa": CallexaRecipient(step="callexa.recipient", survey="Projekt"),
    "quentn": QuentnTerm(step="quentn.term", term="Webinar"),
}
LIMITS = {
    "klicktipp": Limits(10.0), "activecampaign": Limits(5.0, bulk_from=50), "insightly": Limits(10.0),
    "callexa": Limits(5.0), "quentn": Limits(5.0),
}  # fmt: skip
POLLING = {"insightly": 0.5, "callexa": 0.2}
"""Share of a day's requests of those that are both read and written to."""

vendors = pytest.mark.parametrize("vendor", sorted(VENDORS))


def a_connection(vendor: str, **extra: Any) -> Connection:
    values = json.dumps(STATUSES | extra)
    return Connection(conn_id="acc", conn_type=vendor, host=NOWHERE, login="l", password="p", extra=values)


@vendors
async def test_a_target_takes_its_settings_from_the_connection(vendor: str) -> None:
    kind, plain = VENDORS[vendor], a_connection(vendor)
    extra = {"settling_seconds": 7, "requests_per_second": "2.5", "requests_per_day": 1000, "bulk_threshold": 0}
    own = a_connection(vendor, **extra)
    made = kind.from_connection("acc", own)
    assert (made.promise, made.settling_seconds) == (Promise.SETTLED_BY_READING, 7.0)
    assert kind.limits("acc", own) == Limits(2.5, Quota(1000, polling=POLLING.get(vendor, 0.0)))
    assert kind.from_connection("acc", plain).settling_seconds == 2.0
    assert kind.limits("acc", plain) == LIMITS[vendor]


@vendors
async def test_only_reads_that_settle_an_effect_begin_with_the_reserve(vendor: str) -> None:
    spent: list[Purposes] = []

    async def throttle() -> None:
        spent.append(purposes_now())

    target = VENDORS[vendor].from_connection("acc", a_connection(vendor), throttle)
    call = a_call(STEPS[vendor])
    for use in (target.send, target.seen, target.send):
        with pytest.raises(Transient, match="refused"):
            await use(call)
    await target.close()
    assert spent == [FINISHING, SETTLING, FINISHING]
