"""Reading an eTermin account stops for nobody: not for its size, and not for what cannot be read of one customer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.ledger.erasure import erase
from handoff.planning.planner import record
from handoff.rules.rule import Rule
from hooks.accounts import open_source
from hooks.etermin_source import known_of
from operators.etermin import RecordAppointmentsOperator
from tests.support.delivery import judge_due
from tests.support.etermin_account import CONN_ID, ETerminAccount, gone, row, serving
from tests.support.etermin_world import BATCHES, OCCASIONS, put_rules, rule
from tests.support.pushing import ledger_connection
from tests.support.rows import rows

pytestmark = pytest.mark.integration
CURSOR = "SELECT value FROM handoff.cursors WHERE source = 'etermin'"
DUE = "SELECT due_at FROM handoff.batches"
TICKED = "SELECT key, facts -> 'newsletter' FROM handoff.occasions ORDER BY key"
ASKING = rule("asking", {"minutes": 0, "after": "booked"}, newsletter_only=True)
REFUSED = (200, {"Status": "9", "StatusMsg": "bad email eva@example.test"})
BERT = {"Email": "bert@example.org", "Newsletter": 1}


class Account:
    """An account on loopback, the connection that names it, and a project's rules."""

    def __init__(self, served: ETerminAccount, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.served, self._home, self._patch = served, home, patch
        served.now = self.began = datetime.now(UTC).replace(microsecond=0)
        self.connect()

    def connect(self, **extra: Any) -> None:
        values = self.served.values(**{"requests_per_second": 1000, "timezone": "UTC", **extra})
        self._patch.setenv("AIRFLOW_CONN_ETERMIN_DEFAULT", values)

    def rules(self, *given: dict[str, Any]) -> list[Rule]:
        return put_rules(self._home, *given)

    def as_rules(self) -> list[Rule]:
        """Return the rules that there are."""
        return [Rule.model_validate_json(path.read_text()) for path in (self._home / "include/handoffs").glob("*.yaml")]

    def row(self, key: str, **more: Any) -> dict[str, Any]:
        """Return an appointment tomorrow, booked an hour ago."""
        start, booked = self.began + timedelta(days=1), self.began - timedelta(hours=1)
        return row(key, **{"StartDateTimeUTC": plain(start), "EndDateTimeUTC": plain(start),
                           "BookingDateUTC": plain(booked), **more})  # fmt: skip

    async def poll(self) -> dict[str, Any]:
        self.served.later(minutes=5)
        found: dict[str, Any] = await RecordAppointmentsOperator(task_id="record").aexecute({})
        return found


def plain(moment: datetime) -> str:
    """Write an aware moment as eTermin does, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.fixture
def account(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger: AsyncEngine) -> Iterator[Account]:
    monkeypatch.setenv("AIRFLOW_CONN_HANDOFF_LEDGER", ledger_connection(ledger_url))
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    with serving() as served:
        served.answer("/appointmentdeleted", (200, []))
        yield Account(served, tmp_path, monkeypatch)


async def token(ledger: AsyncEngine) -> str:
    [(value,)] = await rows(ledger, CURSOR)
    return str(json.loads(value)["token"])


async def test_a_grown_account_is_read_at_once_and_its_token_written(account: Account, ledger: AsyncEngine) -> None:
    account.rules(rule("reminder", {"hours": 1, "before": "start"}))
    account.served.feed(*(account.row(f"a{number}", Notes="x" * 100_000) for number in range(126)))
    assert len(json.dumps(account.served.answers["/api/appointmentsync"][0][1])) > 12 * 1024**2
    assert (await account.poll())["appointments"] == 126
    assert await token(ledger) == "7"
    assert await rows(ledger, "SELECT count(*) FROM handoff.batches") == [(126,)]
    account.served.answers["/api/appointment"] = account.served.answers["/api/appointmentsync"]
    source = await open_source("etermin", CONN_ID, ledger)
    assert len((await source.occasions(account.served.now)).occasions) == 126
    await source.close()


async def test_a_contact_that_is_refused_stops_nobody(
    account: Account, ledger: AsyncEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    account.rules(ASKING)
    account.served.feed(account.row("a1"), account.row("a2", Email="bert@example.org"))
    account.served.answer("/contact", REFUSED, (200, [BERT]))
    await account.poll()
    assert await rows(ledger, TICKED) == [("a1", None), ("a2", True)]
    assert await token(ledger) == "7"
    told = "".join(capsys.readouterr())
    assert "a1: whether its newsletter box was ticked is not known: status 9: bad email" in told
    assert "eva@" not in told
    account.served.answer("/contact", (200, [BERT | {"Email": "eva@example.test"}]))
    account.served.feed(account.row("a1"), token="8")
    await account.poll()
    assert await rows(ledger, TICKED) == [("a1", True), ("a2", True)]
    assert await rows(ledger, OCCASIONS) == [("a1", False), ("a2", False)]


async def test_an_address_that_cannot_be_one_is_not_looked_up(account: Account, ledger: AsyncEngine) -> None:
    account.rules(ASKING)
    account.served.feed(account.row("a1", Email="eva@"), account.row("a2", Email=None))
    await account.poll()
    assert await rows(ledger, TICKED) == [("a1", None), ("a2", None)]
    assert account.served.queries("/contact") == []


@pytest.mark.parametrize("answer", [
    (200, [row("a1", StartDateTimeUTC="?")]), (200, {"Status": "9", "StatusMsg": "not found"}), (400, {"Message": "?"}),
])  # fmt: skip
async def test_an_appointment_that_cannot_be_read_by_itself_stops_nobody(
    account: Account, ledger: AsyncEngine, capsys: pytest.CaptureFixture[str], answer: Any
) -> None:
    account.rules()
    account.served.feed(account.row("a1"), account.row("a2"))
    await account.poll()
    account.served.feed(account.row("a1"), account.row("a2"), account.row("a3"), token="8")
    account.served.answer("/appointmentdeleted", (200, [gone("a1")]))
    account.served.answer("/appointment", answer)
    await account.poll()
    assert await rows(ledger, OCCASIONS) == [("a1", True), ("a2", False), ("a3", False), ("a1/deleted/1", False)]
    assert "a1: whether it was deleted is not known" in "".join(capsys.readouterr())
    assert await token(ledger) == "8"


async def test_who_has_fewer_requests_than_contacts_gets_further_every_day(
    account: Account, ledger: AsyncEngine
) -> None:
    account.rules(ASKING, rule("moved", {"minutes": 0, "after": "modified"}))
    account.connect(requests_per_day=6)  # five are for polling, two of them for the poll itself
    people = [account.row(f"a{number}", Email=f"person{number}@example.org") for number in range(4)]
    account.served.feed(*people, account.row("b", BookingDateUTC="2025-01-01T10:00:00"))
    account.served.answer("/contact", (200, []))
    assert "resumes_at" in await account.poll()
    seen = await rows(ledger, OCCASIONS)
    assert len(seen) == 4
    assert seen[0] == ("b", False), "who needs no request comes first"
    async with ledger.begin() as connection:
        await connection.execute(text("DELETE FROM handoff.day_uses"))
    assert (await account.poll())["new"] == 1
    assert len(account.served.queries("/contact")) == 4
    assert await token(ledger) == "7"


async def test_a_box_is_looked_up_the_day_before_it_is_needed(account: Account, ledger: AsyncEngine) -> None:
    asking = rule("asking", {"hours": 1, "before": "start"}, newsletter_only=True)
    account.rules(asking)
    start = plain(account.served.now + timedelta(days=3))
    account.served.feed(account.row("a1", StartDateTimeUTC=start, EndDateTimeUTC=start))
    account.served.answer("/appointment", (200, [account.row("a1", StartDateTimeUTC=start, EndDateTimeUTC=start)]))
    account.served.answer("/contact", (200, [BERT | {"Email": "eva@example.test"}]))
    await account.poll()
    source = await open_source("etermin", CONN_ID, ledger)
    for days, asked in ((1, 0), (1, 1), (0, 1)):
        account.served.later(days=days, minutes=5)
        found = (await source.occasions(account.served.now)).occasions
        assert len(account.served.queries("/contact")) == (asked if days else 2), "nothing is recorded here"
    await source.close()
    assert found[-1].facts["newsletter"] is True


async def test_of_a_box_of_which_nothing_is_said_the_sweep_asks_seldom(account: Account, ledger: AsyncEngine) -> None:
    account.rules(ASKING, rule("reminder", {"hours": 1, "before": "start"}, newsletter_only=True))
    start = plain(account.began + timedelta(hours=30))
    told = account.row("a1", StartDateTimeUTC=start, EndDateTimeUTC=start)
    account.served.feed(told)
    account.served.answer("/appointment", (200, [told]))
    account.served.answer("/contact", (200, []))
    await account.poll()
    source, asked = await open_source("etermin", CONN_ID, ledger), list[int]()
    for _ in range(48):
        account.served.later(hours=1)
        await record(ledger, (await source.occasions(account.served.now)).occasions, account.as_rules())
        asked.append(len(account.served.queries("/contact")))
    await source.close()
    assert (asked[0], asked[25], asked[-1]) == (1, 1, 3)
    assert await rows(ledger, TICKED) == [("a1", None)]


async def test_contacts_that_cannot_be_looked_up_now_keep_the_others_of_a_list_from_nobody(
    account: Account, ledger: AsyncEngine
) -> None:
    account.rules(ASKING)
    booked, old = plain(account.served.now), "2025-01-01T10:00:00"
    rows_ = [account.row(f"a{number}", Email=f"person{number}@example.org", BookingDateUTC=booked) for number in (1, 2)]
    account.served.answer("/appointment", (200, [*rows_, account.row("b", BookingDateUTC=old)]))
    account.served.answer("/contact", (500, {"Message": "?"}))
    source = await open_source("etermin", CONN_ID, ledger)
    listing = await source.occasions(account.served.now)
    assert [one.key for one in listing.occasions] == ["b"]
    assert len(account.served.queries("/contact")) == 1, "who asks the next one waits in vain as well"
    account.served.answer("/contact", (200, [BERT]))
    listing = await source.occasions(account.served.now)
    assert [one.key for one in listing.occasions] == ["a1", "a2", "b"]
    await source.close()


async def test_the_box_of_what_was_deleted_is_looked_up_then(account: Account, ledger: AsyncEngine) -> None:
    account.rules(rule("deleted", {"minutes": 0, "after": "deleted"}, newsletter_only=True))
    account.served.feed(account.row("a1"))
    account.served.answer("/contact", (200, [BERT | {"Email": "eva@example.test"}]))
    await account.poll()
    assert account.served.queries("/contact") == []
    account.served.feed(token="8")
    account.served.answer("/appointmentdeleted", (200, [gone("a1", TimeStamp="10/05/2026 8:30 AM")]))
    await account.poll()
    assert await rows(ledger, BATCHES) == [("deleted", "a1/deleted/1", "waiting")]
    assert await rows(ledger, TICKED) == [("a1", True), ("a1/deleted/1", True)]


async def test_a_booking_told_less_precisely_at_the_last_look_does_not_move(
    account: Account, ledger: AsyncEngine
) -> None:
    [booked] = account.rules(rule("booked", {"minutes": 0, "after": "booked"}))
    moment = (account.served.now - timedelta(minutes=2)).replace(second=44)
    account.served.feed(account.row("a1", BookingDateUTC=plain(moment)))
    await account.poll()
    rounded = account.row("a1", BookingDateUTC=None, CreationDate=plain(moment.replace(second=0)))
    account.served.answer("/appointment", (200, [rounded]))
    source = await open_source("etermin", CONN_ID, ledger)
    assert await judge_due(ledger, booked, source) == ["judged"]
    await source.close()
    assert await rows(ledger, DUE) == [(moment,)]


async def test_who_was_erased_does_not_stop_the_account(account: Account, ledger: AsyncEngine) -> None:
    booked, _ = account.rules(
        rule("booked", {"minutes": 0, "after": "booked"}), rule("reminder", {"hours": 1, "before": "start"})
    )
    lately = plain(account.began - timedelta(minutes=2))
    told = account.row("a1", ServicesText="Rückruf an eva@example.test", BookingDateUTC=lately)
    account.served.feed(told)
    account.served.answer("/appointment", (200, [told]))
    await account.poll()
    source = await open_source("etermin", CONN_ID, ledger)
    assert await judge_due(ledger, booked, source) == ["judged"]
    async with ledger.begin() as connection:
        await erase(connection, Contact("eva@example.test").key)
        [known] = (await known_of(connection, CONN_ID, ["a1"])).values()
    assert (known.title, known.facts) == ("", {"appointment": "a1", "event": "created"})
    assert await source.occasion(known) is not None
    assert [one.key for one in (await source.occasions(account.began)).occasions] == ["a1"]
    await source.close()
