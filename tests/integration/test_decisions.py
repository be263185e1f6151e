"""What is held is listed, and a person's decision lets it go on, in its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.errors import UnknownOutcome
from handoff.ledger import registrations
from handoff.ledger.bells import CHANNEL
from handoff.ledger.connect import open_ledger_async
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.registration import Roster
from handoff.rules.rule import Rule
from handoff.target import effect_key
from tests.support.chaos import tags
from tests.support.commands import handoff
from tests.support.delivery import desk_of, judge_due, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget

THREE = tags("eins", "zwei", "drei")
EFFECTS = (
    "SELECT effect.state, effect.reason FROM handoff.effects AS effect JOIN handoff.handoffs AS handoff"
    " ON handoff.id = handoff_id ORDER BY handoff.position, step_no"
)


class Doubtful(MemoryTarget):
    """A target that cannot be read; it says nothing about one tag as long as ``silent`` is set."""

    def __init__(self, tag: str) -> None:
        super().__init__(readable=False, before=self._silence)
        self.silent: str | None = tag
        self.tags: list[tuple[str, str]] = []

    def _silence(self, call: Any) -> UnknownOutcome | None:
        if call.step.tag == self.silent:
            return UnknownOutcome(call.step.conn_id, "tag", "timeout")
        self.tags.append((call.contact.email.split("@")[0], call.step.tag))
        return None


async def judged(ledger: AsyncEngine, rule: Rule, count: int = 1) -> Occasion:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    await record(ledger, [occasion], [rule])
    source = FixedSource(occasion, some_registrations(count, before=occasion.anchors["start"]))
    assert await judge_due(ledger, rule, source) == ["judged"]
    return occasion


async def doubted(ledger: AsyncEngine, rule: Rule, tag: str, count: int = 1) -> Doubtful:
    """Let the step with this tag become doubtful, and so held, for everybody."""
    await judged(ledger, rule, count)
    target = Doubtful(tag)
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    target.silent = None
    return target


async def held(ledger_url: str) -> dict[str, list[dict[str, Any]]]:
    return (await handoff(ledger_url, "held", "--json")).json


async def goes_on(ledger: AsyncEngine, rule: Rule, target: MemoryTarget) -> None:
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}), horizon=0.0)


async def test_what_is_held_and_how_to_decide(ledger: AsyncEngine, ledger_url: str) -> None:
    rule = a_rule(steps=THREE)
    await doubted(ledger, rule, "zwei")
    said = await handoff(ledger_url, "held", "--json")
    assert said.status == 1
    [effect], [lane] = said.json["effects"], said.json["lanes"]
    key = Contact(email="person0@example.org").key
    assert (effect["rule_id"], effect["step_no"], effect["contact_key"]) == ("test_rule", 2, key[:12])
    assert effect["reason"].startswith("klicktipp_default: tag: no answer that can be trusted")
    release = [f"handoff resolve {effect['effect_id']} --{choice}" for choice in ("sent", "send-again", "drop")]
    assert effect["release"] == lane["release"] == release
    assert (lane["lane_id"], lane["name"], lane["waiting"]) == (effect["lane_id"], key[:12], 1)
    assert "person0" not in said.out
    plain = await handoff(ledger_url, "held")
    assert "person0" not in plain.out
    assert f"handoff resolve {effect['effect_id']} --sent | --send-again | --drop" in plain.out
    assert "person0@example.org" in (await handoff(ledger_url, "held", "--show-contacts")).out
    [shown] = (await handoff(ledger_url, "held", "--show-contacts", "--json")).json["effects"]
    assert shown["email"] == "person0@example.org"
    assert (await handoff(ledger_url, "held", "another_rule")).out == "Nothing is held.\n"


async def test_nothing_is_held(ledger: AsyncEngine, ledger_url: str) -> None:
    said = await handoff(ledger_url, "held")
    assert (said.status, said.out) == (0, "Nothing is held.\n")


async def test_an_effect_s_name_is_the_one_its_target_knows(ledger: AsyncEngine, ledger_url: str) -> None:
    rule = a_rule(steps=THREE)
    await doubted(ledger, rule, "zwei")
    [effect] = (await held(ledger_url))["effects"]
    key = Contact(email="person0@example.org").key
    assert effect["effect_key"] == effect_key("test_rule", an_occasion(), key, 1)


@pytest.mark.parametrize("order", ["contact", "strict"])
async def test_it_was_sent(ledger: AsyncEngine, ledger_url: str, order: str) -> None:
    rule = a_rule(steps=THREE, order=order)
    target = await doubted(ledger, rule, "zwei", count=2)
    first, *others = (await held(ledger_url))["effects"]
    others = [one for one in others if one["contact_key"] != first["contact_key"]]
    rest = 1 if order == "strict" else 0
    said = await handoff(ledger_url, "resolve", first["effect_id"], "--sent", "--json")
    assert (said.status, said.json["resolved"]) == (
        0, [{"kind": "effect", "id": first["effect_id"], "changed": True, "state": "confirmed", "rest": rest}],
    )  # fmt: skip
    await goes_on(ledger, rule, target)
    assert target.tags == [("person0", "eins"), ("person1", "eins"), ("person0", "drei")]
    query = "SELECT proof, settled_at IS NOT NULL FROM handoff.effects WHERE id = :id"
    assert await rows(ledger, query, id=first["effect_id"]) == [({"settled_by": "person"}, True)]
    assert (await held(ledger_url))["effects"] == others


@pytest.mark.parametrize("order", ["contact", "strict"])
async def test_it_is_sent_again_however_late(ledger: AsyncEngine, ledger_url: str, order: str) -> None:
    rule = a_rule(steps=THREE, order=order)
    target = await doubted(ledger, rule, "zwei")
    effect = (await held(ledger_url))["effects"][0]["effect_id"]
    said = await handoff(ledger_url, "resolve", effect, "--send-again")
    assert said.out == f"effect {effect}: planned now; 1 later step of the handoff with it\n"
    flags = "SELECT step_no, state, attempts, late_allowed FROM handoff.effects WHERE step_no > 0 ORDER BY step_no"
    assert await rows(ledger, flags) == [(1, "planned", 0, True), (2, "planned", 0, True)]
    await goes_on(ledger, rule, target)
    assert target.tags == [("person0", tag) for tag in ("eins", "zwei", "drei")]
    assert await states(ledger) == {"confirmed": 3}
    assert (await handoff(ledger_url, "held")).status == 0


@pytest.mark.parametrize("order", ["contact", "strict"])
async def test_what_was_moved_into_the_future_is_sent_now_for_the_date_that_the_person_has_seen(
    ledger: AsyncEngine, ledger_url: str, order: str
) -> None:
    """Where no other round waits for the new date, because the rule does not select the occasion any more."""
    rule, target = a_rule(steps=THREE, order=order), MemoryTarget()
    elsewhere = a_rule(steps=THREE, order=order, webinars=["other"])
    await judged(ledger, rule)
    for days in (1, 2):
        later = an_occasion(start=datetime.now(UTC) + timedelta(days=days), changed=1.0 + days)
        await record(ledger, [later], [elsewhere])
        await goes_on(ledger, rule, target)
        first = (await held(ledger_url))["effects"][0]
        assert first["reason"].startswith("occasion_moved"), "moved once more: another decision"
        assert "moved after its people" in (await handoff(ledger_url, "held")).out
        assert (await handoff(ledger_url, "resolve", first["effect_id"], "--send-again")).status == 0
    assert target.calls == 0
    await goes_on(ledger, rule, target)
    assert await states(ledger) == {"confirmed": 3}
    assert target.calls == 3


@pytest.mark.parametrize("order", ["contact", "strict"])
async def test_it_is_dropped_with_what_follows(ledger: AsyncEngine, ledger_url: str, order: str) -> None:
    rule = a_rule(steps=THREE, order=order)
    target = await doubted(ledger, rule, "zwei", count=2)
    first = (await held(ledger_url))["effects"][0]["effect_id"]
    assert (await handoff(ledger_url, "resolve", first, "--drop")).status == 0
    found = await rows(ledger, EFFECTS)
    assert found[1:3] == [("skipped", "dropped_by_person"), ("skipped", "step 2 was dropped")]
    assert found[4][0] == "held", "the other contact's effect is another decision"
    await goes_on(ledger, rule, target)
    assert target.tags == [("person0", "eins"), ("person1", "eins")]
    assert await rows(ledger, EFFECTS) == found


async def test_what_waits_behind_it_goes_on_in_order(ledger: AsyncEngine, ledger_url: str) -> None:
    """Another occasion's handoff of the same person waits in the lane, and goes out after."""
    rule = a_rule(steps=THREE)
    target = await doubted(ledger, rule, "zwei")
    second = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), key="d2")
    await record(ledger, [second], [rule])
    await judge_due(ledger, rule, FixedSource(second, some_registrations(1)))
    await goes_on(ledger, rule, target)
    assert len(target.tags) == 1, "the lane rests"
    [effect] = (await held(ledger_url))["effects"]
    await handoff(ledger_url, "resolve", effect["effect_id"], "--send-again")
    await goes_on(ledger, rule, target)
    assert [tag for _, tag in target.tags] == ["eins", "zwei", "drei"] * 2


async def test_deciding_twice_changes_nothing_more(ledger: AsyncEngine, ledger_url: str) -> None:
    await doubted(ledger, a_rule(steps=THREE), "zwei", count=3)
    effects = [effect["effect_id"] for effect in (await held(ledger_url))["effects"]]
    for effect, choice in zip(effects, ("--sent", "--send-again", "--drop"), strict=True):
        assert (await handoff(ledger_url, "resolve", effect, choice)).status == 0
        before = await rows(ledger, "SELECT * FROM handoff.effects ORDER BY id")
        lanes = await rows(ledger, "SELECT * FROM handoff.lanes ORDER BY id")
        said = await handoff(ledger_url, "resolve", effect, choice)
        assert (said.status, "decided before" in said.out) == (0, True)
        assert await rows(ledger, "SELECT * FROM handoff.effects ORDER BY id") == before
        assert await rows(ledger, "SELECT * FROM handoff.lanes ORDER BY id") == lanes
        other = "--drop" if choice != "--drop" else "--sent"
        assert (await handoff(ledger_url, "resolve", effect, other)).status == 2


async def test_all_or_nothing(ledger: AsyncEngine, ledger_url: str) -> None:
    await doubted(ledger, a_rule(steps=THREE), "zwei", count=2)
    good, _ = [effect["effect_id"] for effect in (await held(ledger_url))["effects"]]
    [(confirmed,)] = await rows(ledger, "SELECT min(id) FROM handoff.effects WHERE state = 'confirmed'")
    before = await rows(ledger, "SELECT * FROM handoff.effects ORDER BY id")
    for wrong, words in ((confirmed, "is confirmed, not held"), (987654, "there is no effect 987654")):
        said = await handoff(ledger_url, "resolve", good, wrong, "--drop")
        assert (said.status, said.out) == (2, "")
        assert words in said.err
    assert await rows(ledger, "SELECT * FROM handoff.effects ORDER BY id") == before


async def test_a_later_step_waits_for_the_decision_about_the_earlier(ledger: AsyncEngine, ledger_url: str) -> None:
    await doubted(ledger, a_rule(steps=THREE, order="strict"), "zwei")
    cause, rest = (await held(ledger_url))["effects"]
    assert (rest["decide_first"], rest["release"]) == (cause["effect_id"], cause["release"])
    said = await handoff(ledger_url, "resolve", rest["effect_id"], "--send-again")
    assert said.status == 2
    assert f"follows effect {cause['effect_id']}, which is held; decide that one" in said.err


async def test_not_while_a_worker_is_busy_in_the_lane(ledger: AsyncEngine, ledger_url: str) -> None:
    await doubted(ledger, a_rule(steps=THREE, order="strict"), "zwei")
    effect = (await held(ledger_url))["effects"][0]["effect_id"]
    lease = "UPDATE handoff.lanes SET lease_owner = 'w', leased_until = now() + make_interval(secs => :seconds)"
    await change(ledger, lease, seconds=10)
    said = await handoff(ledger_url, "resolve", effect, "--drop")
    assert said.status == 2
    assert "a worker is busy in its lane" in said.err
    await change(ledger, lease, seconds=-1)
    assert (await handoff(ledger_url, "resolve", effect, "--drop")).status == 0


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE handoff.occasions SET cancelled = true", "its occasion was cancelled; drop it"),
        ("INSERT INTO handoff.erased (key) SELECT key FROM handoff.contacts", "the person's data was erased; drop it"),
    ],
)
async def test_what_must_not_be_sent_again(ledger: AsyncEngine, ledger_url: str, statement: str, words: str) -> None:
    await doubted(ledger, a_rule(steps=THREE), "zwei")
    effect = (await held(ledger_url))["effects"][0]["effect_id"]
    await change(ledger, statement)
    said = await handoff(ledger_url, "resolve", effect, "--send-again")
    assert (said.status, words in said.err) == (2, True)
    assert (await handoff(ledger_url, "resolve", effect, "--drop")).status == 0


async def test_the_bell_is_rung(ledger: AsyncEngine, ledger_url: str) -> None:
    await doubted(ledger, a_rule(steps=THREE), "zwei")
    effect = (await held(ledger_url))["effects"][0]["effect_id"]
    engine = open_ledger_async(ledger_url, connections=1)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.exec_driver_sql(f"LISTEN {CHANNEL}")
        await handoff(ledger_url, "resolve", effect, "--sent")
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        assert [note.channel async for note in raw.notifies(timeout=2, stop_after=1)] == [CHANNEL]
    await engine.dispose()


async def test_a_lane_that_nothing_holds_any_more(ledger: AsyncEngine, ledger_url: str) -> None:
    rule = a_rule(steps=THREE)
    target = await doubted(ledger, rule, "zwei")
    [lane] = (await held(ledger_url))["lanes"]
    said = await handoff(ledger_url, "resolve", f"lane:{lane['lane_id']}", "--send-again")
    assert (said.status, "is held; decide that one" in said.err) == (2, True)
    await change(ledger, "UPDATE handoff.effects SET state = 'skipped' WHERE state = 'held'")
    [lane] = (await held(ledger_url))["lanes"]
    [command] = lane["release"]
    assert (await handoff(ledger_url, *command.split()[1:])).status == 0
    await goes_on(ledger, rule, target)
    assert [tag for _, tag in target.tags] == ["eins", "drei"]
    assert "decided before" in (await handoff(ledger_url, *command.split()[1:])).out


async def held_batch(ledger: AsyncEngine) -> Occasion:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    await record(ledger, [occasion], [a_rule()])
    await change(ledger, "UPDATE handoff.batches SET state = 'held', reason = 'presence_never_arrived',"
                         " judged_at = now(), wake_at = now() - interval '1 day'")  # fmt: skip
    return occasion


BATCH = "SELECT id, state, reason, late_allowed, wake_at > now() - interval '1 minute' FROM handoff.batches"


async def test_a_held_batch_is_judged_after_all(ledger: AsyncEngine, ledger_url: str) -> None:
    occasion = await held_batch(ledger)
    said = await handoff(ledger_url, "held", "--json")
    [batch] = said.json["batches"]
    number = batch["batch_id"]
    assert (said.status, batch["rule_id"], batch["title"]) == (1, "test_rule", "Webinar")
    assert batch["release"] == [f"handoff resolve batch:{number} --{choice}" for choice in ("send-again", "drop")]
    assert (await handoff(ledger_url, "resolve", f"batch:{number}", "--sent")).status == 2
    for words in (f"batch {number}: waiting now", f"batch {number}: decided before"):
        said = await handoff(ledger_url, "resolve", f"batch:{number}", "--send-again")
        assert (said.status, words in said.out) == (0, True)
        assert await rows(ledger, BATCH) == [(number, "waiting", "", True, True)]
    assert await judge_due(ledger, a_rule(), FixedSource(occasion, some_registrations(2))) == ["judged"]
    assert await states(ledger) == {"planned": 2}


async def test_what_is_too_late_goes_out_when_a_person_says_so(ledger: AsyncEngine, ledger_url: str) -> None:
    rule = a_rule(steps=THREE, late_after={"minutes": 30})
    await judged(ledger, rule, 2)
    await change(ledger, "UPDATE handoff.occasions SET anchors = anchors || jsonb_build_object('end', now() - interval"
                         " '3 hours')")  # fmt: skip
    await change(ledger, "UPDATE handoff.batches SET due_at = now() - interval '3 hours'")
    target = Doubtful("nothing")
    await goes_on(ledger, rule, target)
    first, other = (await held(ledger_url))["effects"]
    assert target.tags == []
    await handoff(ledger_url, "resolve", first["effect_id"], "--send-again")
    await goes_on(ledger, rule, target)
    assert target.tags == [("person0", tag) for tag in ("eins", "zwei", "drei")]
    assert (await held(ledger_url))["effects"] == [other]


async def test_a_batch_that_is_too_late_goes_out_when_a_person_says_so(ledger: AsyncEngine, ledger_url: str) -> None:
    rule = a_rule(late_after={"minutes": 30})
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=100))
    await record(ledger, [occasion], [rule])
    source, target = FixedSource(occasion, some_registrations(2)), Doubtful("nothing")
    assert await judge_due(ledger, rule, source) == ["held"]
    assert (await handoff(ledger_url, "resolve", "batch:1", "--send-again")).status == 0
    assert await judge_due(ledger, rule, source) == ["judged"]
    await goes_on(ledger, rule, target)
    assert len(target.tags) == 2


async def test_a_held_batch_is_dropped(ledger: AsyncEngine, ledger_url: str) -> None:
    await held_batch(ledger)
    for _ in range(2):
        assert (await handoff(ledger_url, "resolve", "batch:1", "--drop")).status == 0
        assert (await rows(ledger, BATCH))[0][:3] == (1, "cancelled", "dropped_by_person")
    assert (await handoff(ledger_url, "resolve", "batch:1", "--send-again")).status == 2
    assert (await handoff(ledger_url, "resolve", "batch:7", "--drop")).status == 2


async def test_a_batch_that_waits_is_dropped(ledger: AsyncEngine, ledger_url: str) -> None:
    """As after a restored backup: what went out since is not to go out again, and everybody is accounted for."""
    rule = a_rule()
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    people = some_registrations(2, before=occasion.anchors["start"])
    await record(ledger, [occasion], [rule])
    async with ledger.begin() as connection:
        await registrations.store(connection, 1, Roster(datetime.now(UTC), datetime.now(UTC), people))
    [waiting] = (await handoff(ledger_url, "pending", "--json")).json["batches"]
    subject = f"batch:{waiting['batch_id']}"
    for words in ("cancelled now", "decided before"):
        said = await handoff(ledger_url, "resolve", subject, "--drop")
        assert (said.status, words in said.out) == (0, True)
    assert (await handoff(ledger_url, "pending", "--json")).json["batches"] == []
    assert await judge_due(ledger, rule, FixedSource(occasion, people)) == []
    [one] = (await handoff(ledger_url, "certificate", "d1", "--json")).json["occasions"]
    [certificate] = one["certificates"]
    assert (certificate["even"], certificate["excluded"]) == (True, {"dropped_by_person": 2})
    assert "(a person dropped it)" in (await handoff(ledger_url, "explain", "person0@example.org")).out
    await record(ledger, [an_occasion(start=datetime.now(UTC) + timedelta(days=1), changed=99.0)], [rule])
    assert (await rows(ledger, BATCH))[0][:3] == (1, "cancelled", "dropped_by_person"), "a move does not revive it"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE handoff.batches SET lease_owner = 'run', leased_until = now() + interval '9 s'", "a run works on it"),
        ("UPDATE handoff.batches SET state = 'waiting'", "people in it were judged already"),
        ("UPDATE handoff.batches SET state = 'judged'", "is judged, not held; there is nothing to decide"),
    ],
    ids=["in hand", "begun", "judged"],
)
async def test_a_batch_that_was_begun_is_not_dropped(
    ledger: AsyncEngine, ledger_url: str, statement: str, words: str
) -> None:
    if "lease" in statement:
        await record(ledger, [an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))], [a_rule()])
    else:
        await judged(ledger, a_rule(), 2)
    await change(ledger, statement)
    before = await rows(ledger, BATCH)
    said = await handoff(ledger_url, "resolve", "batch:1", "--drop")
    assert (said.status, words in said.err) == (2, True)
    assert await rows(ledger, BATCH) == before


async def test_a_batch_that_waits_can_only_be_dropped(ledger: AsyncEngine, ledger_url: str) -> None:
    await record(ledger, [an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))], [a_rule()])
    for decision in ("--sent", "--send-again"):
        assert (await handoff(ledger_url, "resolve", "batch:1", decision)).status == 2
    assert (await rows(ledger, BATCH))[0][:2] == (1, "waiting")


@pytest.mark.parametrize("subject", ["0", "-1", "x", "batch:", "rule:1", "1.5"])
async def test_what_is_no_subject(ledger_url: str, subject: str) -> None:
    with pytest.raises(SystemExit) as ended:
        await handoff(ledger_url, "resolve", subject, "--drop")
    assert ended.value.code == 2
