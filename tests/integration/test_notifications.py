"""What the team is told: one message for each cause, over the wire, and again only when the cause comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from airflow.sdk import BaseNotifier
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import Refused, UnknownOutcome
from handoff.ledger import alarms, notices
from handoff.ledger.decisions import Decision, Subject, decide
from handoff.rules.rule import Rule
from handoff.times.timing import Language
from notifications.handoff_notifier import HandoffNotifier, NotTold
from notifications.tell_team import tell_team
from notifications.wording import UNKNOWN
from sandbox import SMTP_PASSWORD, SMTP_USER, Sandbox
from sandbox.faults import FaultOrder
from tests.support.chaos import tags
from tests.support.commands import handoff
from tests.support.delivery import desk_of, judge_due, plan, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget

pytestmark = pytest.mark.integration
STEPS = [{"step": "email", "template": "webinar_attended"}]


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        extra = {
            "from_email": "Übergaben <handoffs@example.org>",
            "disable_ssl": True,
            "disable_tls": True,
            "timeout": 5,
        }
        values = {
            "conn_type": "smtp", "host": "127.0.0.1", "port": running.smtp_port,
            "login": SMTP_USER, "password": SMTP_PASSWORD, "extra": extra,
        }  # fmt: skip
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_TEAM", json.dumps(values))
        yield running


def a_notifier(**changes: Any) -> HandoffNotifier:
    return HandoffNotifier(**({"to": "team@example.org", "conn_id": "smtp_team"} | changes))


async def held(ledger: AsyncEngine, count: int, **changes: Any) -> Rule:
    """Let so many contacts be held: the mail server took their messages and did not say so."""
    rule = a_rule(steps=STEPS, **changes)
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(count, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    assert await judge_due(ledger, rule, source) == ["judged"]
    target = MemoryTarget(readable=False, after=lambda call: UnknownOutcome(call.step.conn_id, "send e-mail"))
    desk = desk_of(ledger, {"smtp_default": target})
    await work(ledger, rule, desk, in_flight=256)
    await desk.close()
    assert await states(ledger) == {"held": count}
    return rule


async def reviewed(ledger: AsyncEngine) -> list[alarms.Alarm]:
    async with ledger.begin() as connection:
        return await alarms.review(connection)


async def subjects(sandbox: Sandbox) -> list[str]:
    return [effect.detail["subject"] for effect in sandbox.effects]


async def test_500_held_contacts_are_one_message(ledger: AsyncEngine, sandbox: Sandbox) -> None:
    await held(ledger, 500)
    for _ in range(3):
        await reviewed(ledger)
        await tell_team(ledger, a_notifier())
    (effect,) = sandbox.effects
    assert (effect.contact, effect.detail["subject"]) == (
        "team@example.org",
        "[Übergaben] zurückgehalten: rule:test_rule",
    )
    text = sandbox.world.mailbox.mails[0].message().get_content()
    assert "500 effects held" in text
    assert "Anzahl: 500" in text
    assert "handoff held test_rule" in text
    assert "@" not in text


@pytest.mark.parametrize("language", get_args(Language))
async def test_every_kind_of_notice_has_words_of_its_own(
    ledger: AsyncEngine, sandbox: Sandbox, language: Language
) -> None:
    kinds = get_args(notices.Kind)
    async with ledger.begin() as connection:
        for kind in kinds:
            await notices.notice(connection, f"{kind}/it", kind, f"what happened to {kind}")
    assert await tell_team(ledger, a_notifier(language=language)) == len(kinds)
    mails = [mail.message() for mail in sandbox.world.mailbox.mails]
    texts = [mail.get_content().splitlines() for mail in mails]
    assert [text[0] for text in texts] == [f"what happened to {kind}" for kind in kinds]
    to_do = [line for text in texts for line in text if line.startswith(("Was zu tun ist:", "What to do:"))]
    what = {mail["Subject"].partition("] ")[2].removesuffix(": it") for mail in mails}
    assert (len(what), len(set(to_do))) == (len(kinds), len(kinds))
    assert UNKNOWN[language][0] not in what


async def test_the_same_cause_is_told_again_only_after_it_ended(ledger: AsyncEngine, sandbox: Sandbox) -> None:
    await held(ledger, 3)
    await reviewed(ledger)
    assert await tell_team(ledger, a_notifier()) == 1
    await change(ledger, "UPDATE handoff.effects SET state = 'skipped'")
    await change(ledger, "UPDATE handoff.lanes SET held = NULL")
    assert await reviewed(ledger) == []
    assert await rows(ledger, "SELECT count(*) FROM handoff.notices WHERE closed_at IS NULL") == [(0,)]
    await change(ledger, "UPDATE handoff.effects SET state = 'held' WHERE id IN (SELECT min(id) FROM handoff.effects)")
    await reviewed(ledger)
    assert await tell_team(ledger, a_notifier(language="en")) == 1
    assert await subjects(sandbox) == [
        "[Übergaben] zurückgehalten: rule:test_rule", "[Handoffs] held: rule:test_rule",
    ]  # fmt: skip


async def refused(ledger: AsyncEngine, count: int, key: str = "d1") -> None:
    """Let the second step of so many contacts be refused: there is no such tag."""
    rule = a_rule(steps=tags("eins", "zwei", "drei"))
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), key=key)
    source = FixedSource(occasion, some_registrations(count, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    assert await judge_due(ledger, rule, source) == ["judged"]

    def no_such_tag(call: Any) -> Refused | None:
        return Refused(call.step.conn_id, "tag", "there is no such tag") if call.step.tag == "zwei" else None

    desk = desk_of(ledger, {"klicktipp_default": MemoryTarget(before=no_such_tag)})
    await work(ledger, rule, desk, in_flight=256)
    await desk.close()


OPEN = "SELECT cause, count FROM handoff.notices WHERE closed_at IS NULL"
REFUSED = "refused/rule:test_rule/step:2/klicktipp_default"


async def test_500_refused_contacts_are_one_message(ledger: AsyncEngine, ledger_url: str, sandbox: Sandbox) -> None:
    await refused(ledger, 500)
    for _ in range(3):
        await reviewed(ledger)
        await tell_team(ledger, a_notifier())
    assert await subjects(sandbox) == ["[Übergaben] abgelehnt: rule:test_rule/step:2/klicktipp_default"]
    text = sandbox.world.mailbox.mails[0].message().get_content()
    where = "rule test_rule, step 2 (klicktipp.tag at klicktipp_default): 500 effects refused, mostly: "
    assert text.startswith(where)
    assert "there is no such tag" in text
    assert "Anzahl: 500" in text
    assert "@" not in text
    assert (await handoff(ledger_url, "replay", "--rule", "test_rule")).status == 0
    assert await reviewed(ledger) == []
    assert await rows(ledger, OPEN) == []


async def test_a_refusal_ends_when_a_day_has_passed_without_another_one(ledger: AsyncEngine, sandbox: Sandbox) -> None:
    """Somebody whom a target refuses for ever must not hide that it refuses everybody a week later."""
    await refused(ledger, 1)
    await reviewed(ledger)
    age = "UPDATE handoff.effects SET settled_at = settled_at - interval '25 hours'"
    older = "UPDATE handoff.notices SET first_at = first_at - interval '25 hours'"
    for statement in (age, older):
        await change(ledger, statement)
    await reviewed(ledger)
    assert await rows(ledger, OPEN) == [(REFUSED, 1)], "nobody was told yet"
    assert await tell_team(ledger, a_notifier()) == 1
    await reviewed(ledger)
    assert await rows(ledger, OPEN) == []
    await refused(ledger, 3, key="d2")
    await reviewed(ledger)
    assert await rows(ledger, OPEN) == [(REFUSED, 3)]
    assert await tell_team(ledger, a_notifier()) == 1


async def test_what_cannot_be_replayed_any_more_is_not_told(ledger: AsyncEngine) -> None:
    await refused(ledger, 2)
    await change(ledger, "UPDATE handoff.occasions SET cancelled = true")
    assert await reviewed(ledger) == []


async def test_what_is_later_than_its_rule_allows_is_told(ledger: AsyncEngine, sandbox: Sandbox) -> None:
    rule = a_rule(late_after={"minutes": 10})
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=65))
    await plan(ledger, FixedSource(occasion), [rule], occasion)
    assert await reviewed(ledger) == []
    await change(ledger, "UPDATE handoff.batches SET due_at = clock_timestamp() - interval '11 minutes'")
    (alarm,) = await reviewed(ledger)
    assert (alarm.cause, alarm.kind, alarm.count) == ("late/rule:test_rule", "late", 1)
    assert "1 batch later than its late_after allows, the latest by 11 minutes" in alarm.words
    await tell_team(ledger, a_notifier())
    assert await subjects(sandbox) == ["[Übergaben] verspätet: rule:test_rule"]
    await change(ledger, "UPDATE handoff.batches SET state = 'judged'")
    assert await reviewed(ledger) == []


async def test_what_a_person_let_go_on_is_not_told_as_late(ledger: AsyncEngine) -> None:
    rule = await held(ledger, 2, late_after={"minutes": 10})
    await change(ledger, "UPDATE handoff.batches SET due_at = due_at - interval '3 days'")
    found = await rows(ledger, "SELECT id FROM handoff.effects ORDER BY id")
    async with ledger.begin() as connection:
        await decide(connection, [Subject("effect", found[0][0])], Decision.SEND_AGAIN)
    assert [alarm.cause for alarm in await reviewed(ledger)] == [f"held/rule:{rule.id}"]
    await change(ledger, "UPDATE handoff.effects SET late_allowed = false")
    assert [alarm.cause for alarm in await reviewed(ledger)] == [f"held/rule:{rule.id}", f"late/rule:{rule.id}"]


async def test_a_batch_that_a_person_let_go_on_is_not_told_as_late(ledger: AsyncEngine) -> None:
    rule = a_rule(late_after={"minutes": 10})
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=90))
    await plan(ledger, FixedSource(occasion), [rule], occasion)
    await change(ledger, "UPDATE handoff.batches SET state = 'held', reason = 'late'")
    [(batch,)] = await rows(ledger, "SELECT id FROM handoff.batches")
    async with ledger.begin() as connection:
        await decide(connection, [Subject("batch", batch)], Decision.SEND_AGAIN)
    assert await reviewed(ledger) == []
    await change(ledger, "UPDATE handoff.batches SET late_allowed = false")
    assert [alarm.kind for alarm in await reviewed(ledger)] == ["late"]


async def test_what_goes_out_however_late_it_is_is_not_told_as_late(ledger: AsyncEngine) -> None:
    rule = a_rule(late_after={"minutes": 10, "then": "send"})
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=90))
    await plan(ledger, FixedSource(occasion), [rule], occasion)
    assert await reviewed(ledger) == []


async def test_what_could_not_be_sent_stays_to_be_told(ledger: AsyncEngine, sandbox: Sandbox) -> None:
    async with ledger.begin() as connection:
        for account in ("one", "two"):
            await notices.notice(connection, f"circuit/{account}", "circuit", "it fails")
    sandbox.faults.order(FaultOrder(system="email", fault="503", count=1))
    with pytest.raises(NotTold, match="1 of 2 notices could not be sent"):
        await tell_team(ledger, a_notifier())
    assert len(sandbox.effects) == 1
    assert await tell_team(ledger, a_notifier()) == 1
    assert sorted(await subjects(sandbox)) == [f"[Übergaben] Zielkonto gestört: {name}" for name in ("one", "two")]


async def test_a_notice_can_grow_while_its_message_is_on_its_way(ledger: AsyncEngine) -> None:
    """A slow mail server must not hold up a worker that has something to add; nor are there two tellers."""
    async with ledger.begin() as connection:
        await notices.notice(connection, "circuit/one", "circuit", "it fails")
    others: list[int] = []

    class Slow(BaseNotifier):
        async def async_notify(self, context: Any) -> None:
            async with asyncio.timeout(2), ledger.begin() as connection:
                await notices.notice(connection, "circuit/one", "circuit", "it still fails")
            others.append(await tell_team(ledger, Slow()))

    assert await tell_team(ledger, Slow()) == 1
    assert others == [0]
    assert await rows(ledger, "SELECT count, told_at IS NOT NULL FROM handoff.notices") == [(2, True)]


async def test_other_notifiers_get_the_same_message_whether_sync_or_async(sandbox: Sandbox) -> None:
    heard: list[str] = []

    class Sync(BaseNotifier):
        template_fields = ("text",)

        def __init__(self) -> None:
            super().__init__()
            self.text = "{{ notice.kind }}: {{ notice.subject }}"

        def notify(self, context: Any) -> None:
            heard.append(self.text)

    other = Sync()
    notifier = a_notifier(subject="Lauf {{ run_id }}", also=[other])
    for run_id in ("eins", "zwei"):
        again = a_notifier(subject=notifier.subject, also=[other])
        again.context = {"run_id": run_id}  # type: ignore[typeddict-item]
        await again
    assert heard == ["airflow: Lauf eins", "airflow: Lauf zwei"]
    assert await subjects(sandbox) == ["Lauf eins", "Lauf zwei"]


class Hearing(BaseNotifier):
    """Another channel; it remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    async def async_notify(self, context: Any) -> None:
        self.heard.append(context["notice"].subject)


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        (None, "there is no such connection; create it under Admin > Connections"),
        ({"conn_type": "http", "host": "127.0.0.1"}, "smtp_team"),
        ({"conn_type": "smtp", "host": "127.0.0.1"}, "set from_email in the Extra"),
    ],
    ids=["missing", "of another type", "without sender"],
)
async def test_a_wrong_mail_connection_does_not_silence_the_other_channels(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, connection: Any, words: str
) -> None:
    if connection:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_TEAM", json.dumps(connection))
    other = Hearing()
    given: Any = {"run_id": "manual__1"}
    await asyncio.to_thread(a_notifier(also=[other]), given)
    await a_notifier(also=[other], context=given)
    assert other.heard == ["[Übergaben] manual__1"] * 2
    with pytest.raises(NotTold, match=words):
        await a_notifier(context=given)
    with pytest.raises(NotTold, match=words):
        await asyncio.to_thread(a_notifier(), given)


async def test_a_subject_writes_no_header(sandbox: Sandbox) -> None:
    await a_notifier(subject="Lauf =?utf-8?q?a=0D=0ABcc:_x=40evil.de?=", context={"run_id": "eins"})
    mail = sandbox.world.mailbox.mails[0].message()
    assert (mail["Subject"], mail["Bcc"]) == ("Lauf =?utf-8?q?a=0D=0ABcc:_x=40evil.de?=", None)


async def test_as_a_callback_it_sends_from_within_a_running_loop_too(sandbox: Sandbox) -> None:
    await asyncio.to_thread(a_notifier(to="a@example.org, b@example.org"), {"run_id": "manual__1"})
    assert [effect.contact for effect in sandbox.effects] == ["a@example.org", "b@example.org"]
    assert await subjects(sandbox) == ["[Übergaben] manual__1"] * 2


def test_the_environment_names_whom_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert HandoffNotifier.from_environment() is None
    monkeypatch.setenv("HANDOFF_NOTIFY_TO", "team@example.org")
    monkeypatch.setenv("HANDOFF_NOTIFY_LANGUAGE", "en")
    found = HandoffNotifier.from_environment()
    assert found is not None
    assert (found.to, found.conn_id, found.language) == ("team@example.org", "smtp_default", "en")
    monkeypatch.setenv("HANDOFF_NOTIFY_LANGUAGE", "fr")
    with pytest.raises(NotTold, match="must be de or en"):
        HandoffNotifier.from_environment()
