"""The sweep's task and the command that shows certificates: what they ring, publish and print."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import AssetAlias
from airflow.sdk.definitions.asset import AssetUniqueKey
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.planning.planner import record
from handoff.registration import Registration
from operators.assets import rule_asset
from operators.sweep import SweepOperator
from tests.support.chaos import tags
from tests.support.commands import handoff
from tests.support.delivery import desk_of, judge_due, work
from tests.support.domain import a_rule, an_occasion
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget
from tests.support.tasks import Vendors, context_of
from tests.support.world import TrueSource, people

RULE = a_rule(steps=tags("eins"))
ENDED = datetime.now(UTC) - timedelta(minutes=5)


@pytest.fixture
def source() -> TrueSource:
    made = TrueSource()
    occasion = an_occasion(start=ENDED - timedelta(minutes=60), title="Mehr Termine")
    made.put(occasion, people("p", 3, before=ENDED - timedelta(hours=2)))
    return made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger_url: str, source: TrueSource) -> Path:
    """A project with the one rule, and a connection to the one source."""
    folder = tmp_path / "include" / "handoffs"
    folder.mkdir(parents=True)
    (folder / "test_rule.yaml").write_text(RULE.model_dump_json(exclude_unset=True), encoding="utf-8")
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    Vendors(monkeypatch, ledger_url, MemoryTarget(), source)
    return tmp_path


async def sweep(**form: Any) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return what the task returned, and its events by the name of their asset."""
    context = context_of(RULE, "sweep-1", form)
    returned = await SweepOperator(task_id="sweep").aexecute(context)
    events: dict[str, list[Any]] = {}
    for outlet in context["outlet_events"]:
        assert isinstance(outlet, AssetAlias)
        assert outlet in SweepOperator(task_id="sweep").outlets
        for event in context["outlet_events"][outlet].asset_alias_events:
            events.setdefault(event.dest_asset_key.name, []).append(event)
    return json.loads(json.dumps(returned)), events


@pytest.mark.usefixtures("home")
async def test_it_rings_the_rule_s_own_bell(ledger: AsyncEngine, source: TrueSource) -> None:
    await record(ledger, source.now.values(), [RULE])
    returned, events = await sweep()
    assert returned["rung"] == ["test_rule"]
    [bell] = events["handoff_test_rule"]
    assert bell.dest_asset_key == AssetUniqueKey.from_asset(rule_asset("test_rule"))
    assert bell.extra == {"payload": {"rule_id": "test_rule", "by": "sweep"}}


@pytest.mark.usefixtures("home")
async def test_every_certificate_is_an_event_with_its_figures(ledger: AsyncEngine, source: TrueSource) -> None:
    await record(ledger, source.now.values(), [RULE])
    await judge_due(ledger, RULE, source)
    await work(ledger, RULE, desk_of(ledger, {"klicktipp_default": MemoryTarget()}))
    source.lists["d1"] += (Registration("new", "new@example.org", ENDED - timedelta(hours=3)),)
    returned, events = await sweep()
    assert (returned["certificates"], returned["red"]) == (2, 1)
    compared = returned["compared"]["webinaris/webinaris_default"]
    assert (compared["missing"], compared["healed"], compared["troubles"]) == (1, 1, 0)
    red, even = (event.extra for event in events["handoff_certificates"])
    assert {"rule": "test_rule", "occasion": "d1", "even": False, "listed": 4, "missing": 1}.items() <= red.items()
    assert {"even": True, "listed": 4, "handled": 3, "pending": 1, "excluded": {}}.items() <= even.items()
    assert "example.org" not in json.dumps([red, even, returned])
    returned, events = await sweep()
    assert (returned["certificates"], events) == (0, {})


@pytest.mark.usefixtures("home")
async def test_the_form_lets_everything_be_compared_now(ledger: AsyncEngine, source: TrueSource) -> None:
    await record(ledger, source.now.values(), [RULE])
    await judge_due(ledger, RULE, source)
    await sweep()
    assert (await sweep())[0]["compared"]["webinaris/webinaris_default"]["lists"] == 0
    assert (await sweep(compare_now=True))[0]["compared"]["webinaris/webinaris_default"]["lists"] == 1


async def test_the_command_shows_the_sum(ledger: AsyncEngine, ledger_url: str, source: TrueSource) -> None:
    other = a_rule(id="other_rule", when={"days": 1, "after": "end"})
    await record(ledger, source.now.values(), [RULE, other])
    await judge_due(ledger, RULE, source)
    said = await handoff(ledger_url, "certificate", "d1", "--json")
    [occasion] = said.json["occasions"]
    assert (said.status, said.json["even"], occasion["title"], occasion["key"]) == (0, True, "Mehr Termine", "d1")
    judged, waiting = occasion["certificates"]
    assert {"rule": "test_rule", "state": "judged", "listed": 3, "pending": 3}.items() <= judged.items()
    assert (judged["effects"], judged["handled"]) == ({"planned": 3}, 0)
    assert {"rule": "other_rule", "state": "waiting", "listed": 3, "pending": 3}.items() <= waiting.items()
    [(number,)] = await rows(ledger, "SELECT id FROM handoff.occasions")
    assert (await handoff(ledger_url, "certificate", number, "--json")).json == said.json
    text = (await handoff(ledger_url, "certificate", "d1")).out
    assert "Mehr Termine (webinaris, webinaris_default, d1" in text
    assert "planned 3" in text
    assert "even" in text


async def test_the_command_says_when_somebody_is_unaccounted_for(
    ledger: AsyncEngine, ledger_url: str, source: TrueSource
) -> None:
    await record(ledger, source.now.values(), [RULE])
    await judge_due(ledger, RULE, source)
    await change(ledger, "DELETE FROM handoff.verdicts WHERE ref = 'p-1'")
    await change(ledger, "DELETE FROM handoff.effects WHERE handoff_id = (SELECT min(id) FROM handoff.handoffs)")
    await change(ledger, "DELETE FROM handoff.handoffs WHERE id = (SELECT min(id) FROM handoff.handoffs)")
    said = await handoff(ledger_url, "certificate", "d1")
    assert (said.status, "RED: 1 unaccounted for" in said.out) == (1, True)
    assert (await handoff(ledger_url, "certificate", "d1", "--json")).json["even"] is False


async def test_the_command_knows_a_key_in_several_accounts_and_says_what_it_does_not_know(
    ledger: AsyncEngine, ledger_url: str, source: TrueSource
) -> None:
    await record(ledger, [*source.now.values(), an_occasion(account="second")], [RULE])
    said = await handoff(ledger_url, "certificate", "d1", "--json")
    assert [one["account"] for one in said.json["occasions"]] == ["second", "webinaris_default"]
    said = await handoff(ledger_url, "certificate", "nope")
    assert (said.status, "knows no occasion nope" in said.err) == (2, True)
