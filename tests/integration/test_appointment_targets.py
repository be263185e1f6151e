"""Rules of appointments with KlickTipp, ActiveCampaign and Quentn as targets: what the stand-ins were told."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.sdk import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.rules.rule import Rule
from handoff.target import Target
from hooks.accounts import VENDORS
from hooks.activecampaign_target import ActiveCampaignTarget
from sandbox.credentials import ACTIVECAMPAIGN_TOKEN, KLICKTIPP_PASSWORD, KLICKTIPP_USERNAME
from sandbox.effects import Effect
from tests.support.delivery import desk_of, judge_due, work
from tests.support.etermin_world import EVA, ETermin, rule
from tests.support.rows import rows

pytestmark = pytest.mark.integration
BOOKED, DELETED = {"minutes": 0, "after": "booked"}, {"minutes": 0, "after": "deleted"}
ENDS = "SELECT state, reason FROM handoff.effects ORDER BY id"
ANCHORS = "SELECT anchors ->> 'start', anchors ->> 'end' FROM handoff.occasions WHERE key = 'a1'"


async def no_wait() -> None:
    """Let every request go at once."""


def connection(kind: str, etermin: ETermin, login: str | None, password: str) -> Connection:
    extra = json.dumps({"settling_seconds": 0, "timeout": 5})
    host = f"{etermin.sandbox.http_url}/{kind}"
    return Connection(
        conn_id=f"{kind}_default", conn_type=kind, host=host, login=login, password=password, extra=extra
    )  # fmt: skip


def target_of(kind: str, etermin: ETermin) -> Target:
    if kind == "quentn":
        return VENDORS["quentn"].from_connection("quentn_default", etermin.quentn(), no_wait)
    if kind == "klicktipp":
        values = connection(kind, etermin, KLICKTIPP_USERNAME, KLICKTIPP_PASSWORD)
        return VENDORS["klicktipp"].from_connection("klicktipp_default", values, no_wait)
    values = connection(kind, etermin, None, ACTIVECAMPAIGN_TOKEN)
    return ActiveCampaignTarget.from_connection("activecampaign_default", values, no_wait)


async def carry_out(etermin: ETermin, *rules: Rule) -> list[Effect]:
    """Let each rule judge what is due and hand it over; return what the targets were told by it."""
    before = len(list(etermin.sandbox.effects))
    source = await etermin.source()
    for one in rules:
        kind = one.steps[0].step.partition(".")[0]
        target = target_of(kind, etermin)
        await judge_due(etermin.ledger, one, source)
        await work(etermin.ledger, one, desk_of(etermin.ledger, {f"{kind}_default": target}))
        await target.close()
    await source.close()
    return [one for one in list(etermin.sandbox.effects)[before:] if one.system not in {"etermin", "email"}]


async def booked(etermin: ETermin, *steps: dict[str, Any]) -> list[Effect]:
    """Let somebody book, and a rule react with these steps."""
    rules = etermin.rules(rule("booked", BOOKED, steps=list(steps)))
    await etermin.book()
    await etermin.poll()
    return await carry_out(etermin, *rules)


@pytest.mark.parametrize(
    ("opt_in", "list_id", "mail"),
    [("Webinar ohne Bestätigung", 23, False), ("23", 23, False), ("3", 3, True), ("", 3, True)],
)
async def test_a_booking_is_signed_up_by_the_process_that_the_rule_names(
    etermin: ETermin, ledger: AsyncEngine, opt_in: str, list_id: int, mail: bool
) -> None:
    [signed_up] = await booked(etermin, {"step": "klicktipp.contact", "opt_in": opt_in})
    assert (signed_up.action, signed_up.contact) == ("contact", EVA["email"])
    assert (signed_up.detail["listid"], signed_up.detail["opt_in_mail"]) == (list_id, mail)
    assert await rows(ledger, ENDS) == [("confirmed", "")]


@pytest.mark.parametrize("vendor", ["klicktipp", "activecampaign"])
@pytest.mark.parametrize("by", ["name", "id"])
async def test_a_tag_is_named_by_name_or_id(etermin: ETermin, ledger: AsyncEngine, vendor: str, by: str) -> None:
    tag = "Termin" if by == "name" else id_of_tag(etermin, vendor)
    effects = await booked(etermin, {"step": f"{vendor}.tag", "tag": tag})
    assert [one.detail["tag"] for one in effects if one.action == "tag"] == ["Termin"]
    assert {one.contact for one in effects} == {EVA["email"]}
    assert await rows(ledger, ENDS) == [("confirmed", "")]


@pytest.mark.parametrize("vendor", ["klicktipp", "activecampaign"])
async def test_an_unknown_number_is_refused(etermin: ETermin, ledger: AsyncEngine, vendor: str) -> None:
    assert await booked(etermin, {"step": f"{vendor}.tag", "tag": "4711"}) == []
    [(state, reason)] = await rows(ledger, ENDS)
    assert (state, "'4711'" in reason) == ("refused", True)


def id_of_tag(etermin: ETermin, vendor: str) -> str:
    """Return the id of the tag Termin in the stand-in's account."""
    tags = getattr(etermin.sandbox.world, vendor).tags
    return next(str(number) for number, tag in tags.items() if tag.name == "Termin")


@pytest.mark.parametrize("vendor", ["klicktipp", "activecampaign"])
async def test_the_tag_goes_with_the_deletion(etermin: ETermin, ledger: AsyncEngine, vendor: str) -> None:
    rules = etermin.rules(
        rule("booked", BOOKED, steps=[{"step": f"{vendor}.tag", "tag": "Termin"}]),
        rule("deleted", DELETED, steps=[{"step": f"{vendor}.untag", "tag": id_of_tag(etermin, vendor)}]),
    )
    await etermin.book()
    await etermin.poll()
    await carry_out(etermin, *rules)
    await etermin.order("cancel", uid="a1")
    await etermin.poll()
    [untagged] = await carry_out(etermin, *rules)
    assert (untagged.action, untagged.contact, untagged.detail["tag"]) == ("untag", EVA["email"], "Termin")
    assert await rows(ledger, ENDS) == [("confirmed", "")] * 2


@pytest.mark.parametrize("given", ["Newsletter", "1"])
async def test_a_list_is_subscribed_to_once(etermin: ETermin, ledger: AsyncEngine, given: str) -> None:
    step = {"step": "activecampaign.list", "list": given}
    effects = await booked(etermin, step)
    [subscribed] = [one for one in effects if one.action == "list"]
    assert (subscribed.contact, subscribed.detail["list"], subscribed.detail["status"]) == (
        EVA["email"], "Newsletter", 1,
    )  # fmt: skip
    await etermin.book("a2")
    await etermin.poll()
    again = await carry_out(etermin, *etermin.rules(rule("booked", BOOKED, steps=[step])))
    assert [one for one in again if one.action == "list"] == []
    assert await rows(ledger, ENDS) == [("confirmed", "")] * 2


@pytest.mark.parametrize("status", [2, 3])
async def test_who_unsubscribed_or_bounced_is_never_subscribed_again(
    etermin: ETermin, ledger: AsyncEngine, status: int
) -> None:
    account = etermin.sandbox.world.activecampaign
    [list_id] = [number for number, name in account.lists.items() if name == "Newsletter"]
    account.put_membership(account.put_contact(EVA["email"]), list_id, status)
    effects = await booked(etermin, {"step": "activecampaign.list", "list": "Newsletter"})
    assert [one for one in effects if one.action == "list"] == []
    [(state, reason)] = await rows(ledger, ENDS)
    assert (state, "never subscribed again" in reason) == ("refused", True)


@pytest.mark.parametrize("opt_in", ["", "Webinar ohne Bestätigung"])
async def test_who_unsubscribed_in_klicktipp_is_not_signed_up_again(
    etermin: ETermin, ledger: AsyncEngine, opt_in: str
) -> None:
    account = etermin.sandbox.world.klicktipp
    account.put_contact(EVA["email"], "", account.default_opt_in, "Unsubscribed")
    effects = await booked(etermin, {"step": "klicktipp.contact", "opt_in": opt_in})
    assert [one for one in effects if one.action == "contact"] == []
    [(state, reason)] = await rows(ledger, ENDS)
    assert (state, "no rule signs it up again" in reason) == ("refused", True)


@pytest.mark.parametrize(
    ("vendor", "form", "fields"),
    [
        ("klicktipp", "unix", {"Beginn": "field7", "Ende": "field8"}),
        ("activecampaign", "iso", {"Beginn": "Beginn", "Ende": "Ende"}),
        ("quentn", "iso", {"Termin Beginn": "field_termin_beginn", "Termin Ende": "field_termin_ende"}),
    ],
)
async def test_start_and_end_go_into_date_fields(
    etermin: ETermin, ledger: AsyncEngine, vendor: str, form: str, fields: dict[str, str]
) -> None:
    texts = (f"{{{{ occasion.{anchor} | {form} }}}}" for anchor in ("start", "end"))
    step = {"step": f"{vendor}.contact", "fields": dict(zip(fields, texts, strict=True))}
    effects = await booked(etermin, step)
    [(start, end)] = await rows(ledger, ANCHORS)
    written = {name: value for one in effects for name, value in one.detail.get("fields", {}).items()}
    written |= {one.detail["field"]: one.detail["value"] for one in effects if one.action == "field"}
    moments = [moment(written[name]) for name in fields.values()]
    assert moments == [datetime.fromisoformat(start), datetime.fromisoformat(end)]
    assert await rows(ledger, ENDS) == [("confirmed", "")]


def moment(text: str) -> datetime:
    """Return the moment that a field says, in unix seconds, ISO 8601, or on Berlin's clock."""
    if text.isdigit():
        return datetime.fromtimestamp(int(text), ZoneInfo("Europe/Berlin"))
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=ZoneInfo("Europe/Berlin"))
