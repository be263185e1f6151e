"""Each run's world has names that no earlier one had, and everything that belongs together still does."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from launch.renewal import renewed
from launch.world import write_fresh_copy
from sandbox.scenario import DEFAULT_SCENARIO, Scenario, load_scenario

FIRST, SECOND = 1_790_000_000.0, 1_790_000_020.0


def crm(**parts: Any) -> Scenario:
    return Scenario.model_validate({"insightly": parts})


def ids(scenario: Scenario) -> set[tuple[str, int | None]]:
    account = scenario.insightly
    kinds = {"contact": account.contacts, "opportunity": account.opportunities, "project": account.projects}
    return {(kind, one.id) for kind, records in kinds.items() for one in records}


def addresses(scenario: Scenario) -> set[str]:
    return {contact.email.lower() for contact in scenario.insightly.contacts if contact.email}


def test_two_runs_share_neither_records_nor_people() -> None:
    original = load_scenario()
    first, second = renewed(original, FIRST), renewed(original, SECOND)
    for one, other in ((original, first), (original, second), (first, second)):
        assert ids(one).isdisjoint(ids(other))
        assert addresses(one).isdisjoint(addresses(other))
    assert len(ids(first)) == len(ids(original))
    assert len(addresses(first)) == len(addresses(original)) == 3


def test_records_lead_to_the_same_people_and_stay_as_they_were() -> None:
    original = load_scenario()
    changed = renewed(original, FIRST)
    for before, after in zip(
        (*original.insightly.opportunities, *original.insightly.projects),
        (*changed.insightly.opportunities, *changed.insightly.projects),
        strict=True,
    ):
        assert (before.name, before.tags, before.states) == (after.name, after.tags, after.states)
        assert people(original, before.contacts) == people(changed, after.contacts)
    won = {deal.name: deal.id for deal in changed.insightly.opportunities}
    assert changed.insightly.projects[0].opportunity == won["Wartungsvertrag"]


def people(scenario: Scenario, numbers: tuple[int, ...]) -> list[str]:
    return [next(one.firstname for one in scenario.insightly.contacts if one.id == number) for number in numbers]


def test_whoever_is_named_elsewhere_too_stays_the_same_person() -> None:
    scenario = crm(contacts=[{"id": 1, "email": "Anna@Example.org"}, {"id": 2, "email": "no address"}])
    registrants = [{"email": "anna@example.org"}, {"email": "b@c.de"}]
    more: dict[str, Any] = {
        "callexa": {"surveys": [{"id": "s", "name": "S", "replies": [{"email": "anna@example.org", "rating": 9}]}]},
        "webinars": [{
            "id": "w", "title": "W", "dates": [{"id": "d", "start": 0, "end": 9, "registrants": registrants}],
        }],
    }  # fmt: skip
    changed = renewed(Scenario.model_validate(scenario.model_dump(exclude_unset=True) | more), FIRST)
    (anna, nobody), registered = changed.insightly.contacts, changed.webinars[0].dates[0].registrants
    assert anna.email.startswith("Anna+")
    assert anna.email.endswith("@Example.org")
    assert nobody.email == "no address"
    assert changed.callexa.surveys[0].replies[0].email == registered[0].email == anna.email.lower()
    assert registered[1].email == "b@c.de"


def test_two_runs_share_no_appointments_and_those_without_an_id_get_one() -> None:
    booked = {"uid": "a", "start": "+1d", "email": "eva@example.org"}
    appointments = [booked, {"start": "+2d"}, {"start": "2030-10-27T00:30:00Z"}]
    original = Scenario.model_validate({"etermin": {"appointments": appointments}})
    first, second = ([one.uid for one in renewed(original, at).etermin.appointments] for at in (FIRST, SECOND))
    assert len({*first, *second}) == 6
    assert first[0].startswith("a-")
    assert "" not in first
    people = {renewed(original, at).etermin.appointments[0].email for at in (FIRST, SECOND)}
    assert len(people - {"eva@example.org"}) == 2
    assert renewed(original, FIRST).etermin.appointments[1].email == ""
    starts = [one.start for one in renewed(original, FIRST).etermin.appointments]
    assert starts == [one.start for one in original.etermin.appointments]


def test_a_customer_of_the_crm_is_the_same_person_in_quentn() -> None:
    parts = {"insightly": {"contacts": [{"id": 1, "email": "a@b.de"}]}, "quentn": {"contacts": [{"mail": "A@b.de"}]}}
    changed = renewed(Scenario.model_validate(parts), FIRST)
    assert changed.quentn.contacts[0].mail.lower() == changed.insightly.contacts[0].email != "a@b.de"


def test_records_without_an_id_get_one_after_the_others() -> None:
    changed = renewed(crm(opportunities=[{"name": "a"}, {"name": "b", "id": 7}, {"name": "c"}]), FIRST)
    numbers = {deal.name: int(deal.id or 0) for deal in changed.insightly.opportunities}
    assert numbers["b"] < numbers["a"] < numbers["c"]


def test_the_crm_tells_its_news_where_the_run_wants_it_unless_the_scenario_says_where(tmp_path: Path) -> None:
    copy, webhook = tmp_path / "copy.yaml", {"webhook_url": "http://127.0.0.1:1/here", "webhook_password": "secret"}
    written = write_fresh_copy(DEFAULT_SCENARIO, copy, webhook)
    assert load_scenario(copy) == written
    assert (written.insightly.webhook_url, written.insightly.webhook_password) == tuple(webhook.values())
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert written.etermin.push.url == ""
    own = tmp_path / "own.yaml"
    own.write_text("insightly: {webhook_url: 'http://127.0.0.1:2/there'}")
    assert write_fresh_copy(own, copy, webhook).insightly.webhook_url == "http://127.0.0.1:2/there"


def test_etermin_pushes_where_the_run_wants_it_unless_the_scenario_says_where(tmp_path: Path) -> None:
    copy, push = tmp_path / "copy.yaml", {"url": "http://127.0.0.1:1/here", "header": "X-S", "header_value": "secret"}
    written = write_fresh_copy(DEFAULT_SCENARIO, copy, push=push)
    assert load_scenario(copy) == written
    told = written.etermin.push
    assert (told.url, told.header, told.header_value) == tuple(push.values())
    assert written.etermin.calendars == load_scenario().etermin.calendars
    own = tmp_path / "own.yaml"
    own.write_text("etermin: {push: {url: 'http://127.0.0.1:2/there', retries: 3}}")
    assert write_fresh_copy(own, copy, push=push).etermin.push == load_scenario(own).etermin.push
