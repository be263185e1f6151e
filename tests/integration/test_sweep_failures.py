"""A part of the sweep that fails hinders none of the others: bells ring, certificates come out, and the run is red."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.registration import Roster
from handoff.rules.rule import Rule
from handoff.source import Listing, Source
from operators import work as tasks_work
from operators.assets import CERTIFICATE_NEWS
from operators.sweep import SweepOperator
from operators.sweep_outcome import SweepOutcomeOperator
from tests.support.chaos import tags
from tests.support.delivery import judge_due
from tests.support.domain import a_rule, an_occasion
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget
from tests.support.tasks import Vendors, context_of
from tests.support.world import TrueSource, people

RULE = a_rule(steps=tags("eins"))
OTHER = a_rule(id="other_rule", conn_id="second", steps=tags("eins"))
ENDED = datetime.now(UTC) - timedelta(minutes=5)
EMAIL = "xenia.q7@example.org"
UNPUBLISHED = "SELECT count(*) FROM handoff.certificates WHERE published_at IS NULL"


class Unforeseen(TrueSource):
    """An account whose answers are not what anybody thought of: reading a list, or its dates, stumbles over a key.

    :ivar broken: what cannot be read: keys of dates, and ``"dates"`` for the list of all of them.
    """

    def __init__(self, *broken: str) -> None:
        super().__init__()
        self.broken = broken

    async def occasions(self, since: datetime) -> Listing:
        """Return the dates, or stumble."""
        if "dates" in self.broken:
            raise KeyError(EMAIL)
        return await super().occasions(since)

    async def roster(self, known: Occasion, since: datetime | None) -> Roster:
        """Return the list, or stumble."""
        if known.key in self.broken:
            raise KeyError(EMAIL)
        return await super().roster(known, since)


class Project:
    """A project with rules, and a source account behind each connection."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger_url: str) -> None:
        self.folder = tmp_path / "include" / "handoffs"
        self.folder.mkdir(parents=True)
        monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
        Vendors(monkeypatch, ledger_url, MemoryTarget(), None)
        self.sources: dict[str, TrueSource] = {}

        async def open_source(source: str, account: str, engine: AsyncEngine) -> Source:
            return self.sources[account]

        monkeypatch.setattr(tasks_work, "open_source", open_source)

    def has(self, rule: Rule, source: TrueSource) -> None:
        """Let there be a rule and what its connection leads to."""
        (self.folder / f"{rule.id}.yaml").write_text(rule.model_dump_json(exclude_unset=True), encoding="utf-8")
        self.sources[rule.conn_id] = source


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger_url: str) -> Project:
    return Project(tmp_path, monkeypatch, ledger_url)


def put(source: TrueSource, keys: Sequence[str], account: str = "webinaris_default") -> TrueSource:
    """Let an account have dates that have ended, with two people each."""
    for key in keys:
        occasion = an_occasion(key=key, account=account, start=ENDED - timedelta(minutes=60))
        source.put(occasion, people(key, 2, before=ENDED - timedelta(hours=2)))
    return source


def events_of(context: Any) -> list[str]:
    """Return the names of the assets of which a task hands events to Airflow."""
    accessors = context["outlet_events"]
    return sorted(event.dest_asset_key.name for one in accessors for event in accessors[one].asset_alias_events)


async def sweep() -> tuple[dict[str, Any], list[str]]:
    """Return what the sweep's task returned, and its events."""
    context = context_of(RULE, "sweep-1")
    returned = await SweepOperator(task_id="sweep").aexecute(context)
    return json.loads(json.dumps(returned)), events_of(context)


def red(returned: dict[str, Any]) -> str:
    """Return with which words the run turns red."""
    with pytest.raises(AirflowFailException) as caught:
        SweepOutcomeOperator(task_id="outcome", swept=returned).execute({})
    return str(caught.value)


async def test_bells_and_certificates_outlast_a_wrong_setting(
    ledger: AsyncEngine, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = put(TrueSource(), ["d1"])
    project.has(RULE, source)
    await record(ledger, source.now.values(), [RULE])
    await judge_due(ledger, RULE, source)
    late = put(TrueSource(), ["d2"], "second")
    project.has(OTHER, late)
    await record(ledger, late.now.values(), [OTHER])
    monkeypatch.setenv("HANDOFF_KEEP_EVENTS_DAYS", "x")
    for certificates in (1, 0):
        returned, events = await sweep()
        assert events.count("handoff_other_rule") == 1
        assert events.count("handoff_certificates") == returned["certificates"] == certificates
        assert list(returned["failed"]) == ["tidy"]
        assert "HANDOFF_KEEP_EVENTS_DAYS=x: write a whole number of days" in red(returned)
        assert set(returned["compared"]) == {"webinaris/webinaris_default", "webinaris/second"}
    assert await rows(ledger, UNPUBLISHED) == [(0,)]
    monkeypatch.delenv("HANDOFF_KEEP_EVENTS_DAYS")
    returned, _ = await sweep()
    assert returned["failed"] == {}
    assert SweepOutcomeOperator(task_id="outcome", swept=returned).execute({}) is None


@pytest.mark.parametrize("broken", ["d1", "dates"])
async def test_a_source_whose_reading_stumbles_hinders_nothing_else(
    ledger: AsyncEngine, project: Project, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    caplog.set_level(logging.INFO)
    first, second = put(Unforeseen(), ["d1", "d2"]), put(TrueSource(), ["d3"], "second")
    soon = an_occasion(key="d9", start=datetime.now(UTC) + timedelta(hours=1))
    for rule, source in ((RULE, first), (OTHER, second)):
        project.has(rule, source)
        await record(ledger, source.now.values(), [rule])
        await judge_due(ledger, rule, source)
    await record(ledger, [first.put(soon, people("soon", 3, before=ENDED))], [RULE])
    await change(ledger, "UPDATE handoff.inbox SET received_at = now() - interval '91 days'")
    first.broken = (broken, "d9")
    returned, events = await sweep()
    assert "d2" in first.asked
    assert "d3" in second.asked
    assert returned["removed"]["events"] == 4
    assert events == ["handoff_certificates"] * 3
    assert returned["compared"]["webinaris/webinaris_default"]["troubles"] == 1
    words = red(returned)
    assert words.count("KeyError") == len(returned["failed"]) == 2
    assert "webinaris_default" in words
    assert "in roster" in caplog.text or "in occasions" in caplog.text
    assert EMAIL not in caplog.text + words + json.dumps(returned)
    first.broken = ()
    assert (await sweep())[0]["failed"] == {}


@pytest.mark.parametrize("table", ["cursors", "notices", "deliveries", "certificates", "starts", "buckets"])
async def test_a_table_that_cannot_be_used_hinders_no_bell(ledger: AsyncEngine, project: Project, table: str) -> None:
    source = put(TrueSource(), ["d1"])
    project.has(RULE, source)
    await record(ledger, source.now.values(), [RULE])
    await change(ledger, f"ALTER TABLE IF EXISTS handoff.{table} RENAME TO away")
    try:
        returned, events = await sweep()
    finally:
        await change(ledger, f"ALTER TABLE IF EXISTS handoff.away RENAME TO {table}")
    assert events == ["handoff_test_rule"]
    assert returned["failed"]
    assert all("ProgrammingError" in words for words in returned["failed"].values())


async def test_what_airflow_was_not_handed_is_published_by_the_next_sweep(
    ledger: AsyncEngine, project: Project
) -> None:
    source = put(TrueSource(), ["d1"])
    project.has(RULE, source)
    await record(ledger, source.now.values(), [RULE])
    await judge_due(ledger, RULE, source)

    class Deaf(dict[Any, Any]):
        def __missing__(self, alias: object) -> Any:
            raise ConnectionError(f"nobody takes {alias}") if alias == CERTIFICATE_NEWS else KeyError(alias)

    returned = await SweepOperator(task_id="sweep").aexecute(context_of(RULE) | {"outlet_events": Deaf()})
    assert "publish: ConnectionError" in red(returned)
    assert await rows(ledger, UNPUBLISHED) == [(1,)]
    assert (await sweep())[1] == ["handoff_certificates"]


def test_all_that_failed_is_named() -> None:
    words = red({"failed": {"certify": "OperationalError", "tidy": "HANDOFF_KEEP_EVENTS_DAYS=x"}})
    assert words.startswith("2 parts of the sweep failed")
    assert "certify: OperationalError; tidy: HANDOFF_KEEP_EVENTS_DAYS=x" in words
