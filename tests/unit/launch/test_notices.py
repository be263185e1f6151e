"""The file of objection notices is one that ``handoff consent --import`` takes in whole."""

from __future__ import annotations

from pathlib import Path

from handoff.consent import Subject
from handoff.consent_file import read_consents
from handoff.contact import Contact
from launch.notices import customers, write_notices
from sandbox.scenario import Scenario


def test_every_customer_with_a_usable_address_was_told(tmp_path: Path) -> None:
    contacts = [{"email": "Jürgen@Example.org"}, {"email": ""}, {"email": "no address"}, {"email": "b@example.org"}]
    scenario = Scenario.model_validate({"insightly": {"contacts": contacts}})
    file = read_consents(write_notices(scenario, tmp_path / "notices.csv"))
    assert file.problems == []
    told = {Subject(Contact(email).key, "email", "survey") for email in ("jürgen@example.org", "b@example.org")}
    assert {entry.subject for entry in file.entries} == told
    assert {entry.what for entry in file.entries} == {"notice_given"}
    assert customers(scenario) == {"jürgen@example.org", "b@example.org"}
