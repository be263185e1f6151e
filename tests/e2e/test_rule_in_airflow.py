"""Rules through a real scheduler, triggerer and executor, against the sandbox."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from launch.laboratory import effects, rule_text, running_airflow, webinar
from launch.settings import kept_secrets
from launch.stack import PARTS, Stack
from sandbox import credentials
from sandbox.people import LAST_NAMES
from tests.support.airflow_records import records, told

pytestmark = pytest.mark.e2e

STEPS = [
    {"step": "klicktipp.contact"},
    {"step": "klicktipp.tag", "tag": "everything", "create": True},
    {"step": "activecampaign.tag", "tag": "everything", "create": True},
    {"step": "email", "template": "webinar_attended"},
]
PEOPLE, SOON, LATER = 8, 22.0, 3600.0
LIKE_ANY_OTHER = 6
"""Names of so few letters may be part of any word."""


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Stack, float]]:
    rules = {
        "everything": rule_text("everything", "E", steps=STEPS),
        "cancelled": rule_text("cancelled", "C"),
        "moved": rule_text("moved", "M"),
    }
    webinars = [
        webinar("E", [{"id": "everything", "start": -3600, "end": SOON}], people=PEOPLE),
        webinar("C", [{"id": "cancelled", "start": -3600, "end": SOON, "cancelled_at": 12}], people=3),
        webinar(
            "M", [{"id": "moved", "start": -3600, "end": LATER, "moved": {"at": 14, "start": -3600, "end": SOON}}],
            people=3,
        ),
    ]  # fmt: skip
    with running_airflow(rules, webinars) as (stack, began):
        yield stack, began


def eventually(probe: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Return the probe's first true answer."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)
    return answer


def of_date(stack: Stack, date_id: str) -> list[dict[str, Any]]:
    return [effect for effect in effects(stack) if effect["contact"].endswith(f"@{date_id}.example.org")]


def runs(stack: Stack, rule_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stack.api.get(f"dags/handoff_{rule_id}/dagRuns")["dag_runs"]
    return found


def test_everybody_gets_every_step_once_in_order_and_on_time(running: tuple[Stack, float]) -> None:
    stack, began = running
    found = eventually(lambda: [] if len(mails(stack)) < PEOPLE else of_date(stack, "everything"))
    done = Counter((effect["contact"], effect["system"], effect["action"]) for effect in found)
    for contact in {effect["contact"] for effect in found}:
        mine = [(e["system"], e["action"]) for e in found if e["contact"] == contact]
        assert mine[:2] == [("klicktipp", "contact"), ("klicktipp", "tag")]
        assert mine[-2:] == [("activecampaign", "tag"), ("email", "mail")]
        assert done[contact, "klicktipp", "tag"] == done[contact, "activecampaign", "tag"] == 1
        assert done[contact, "email", "mail"] == 1
    assert min(effect["at"] for effect in found) >= began + SOON


def mails(stack: Stack) -> list[dict[str, Any]]:
    return [effect for effect in of_date(stack, "everything") if effect["system"] == "email"]


def test_the_run_ends_well_and_writes_an_even_certificate(running: tuple[Stack, float]) -> None:
    stack, _ = running
    run = eventually(lambda: next((r for r in runs(stack, "everything") if r["state"] == "success"), None))
    path = f"dags/handoff_everything/dagRuns/{run['dag_run_id']}/taskInstances"
    tasks = {task["task_id"]: task["state"] for task in stack.api.get(path)["task_instances"]}
    assert tasks == dict.fromkeys(("gather", "deliver", "settle", "certify"), "success")
    figures = stack.api.get(f"{path}/certify/xcomEntries/return_value")["value"]
    (certificate,) = figures if isinstance(figures, list) else json.loads(figures)
    assert (certificate["listed"], certificate["handled"], certificate["pending"]) == (PEOPLE, PEOPLE, 0)


def test_a_cancelled_webinar_hands_nobody_over(running: tuple[Stack, float]) -> None:
    stack, began = running
    time.sleep(max(0.0, began + SOON + 10 - time.time()))
    assert of_date(stack, "cancelled") == []


def test_a_moved_webinar_is_handed_over_at_its_new_time(running: tuple[Stack, float]) -> None:
    stack, began = running
    tagged = eventually(lambda: [e for e in of_date(stack, "moved") if e["action"] == "tag"])
    assert min(effect["at"] for effect in tagged) >= began + SOON
    assert max(Counter(effect["contact"] for effect in tagged).values()) == 1


def test_one_contact_can_be_handed_over_by_hand(running: tuple[Stack, float]) -> None:
    stack, _ = running
    form = {
        "mode": "one_contact", "email": "Chefin@Meine-Firma.example.org", "first_name": "Käthe", "language": "de",
        "occasion_title": "Probelauf",
    }  # fmt: skip
    stack.api.post("dags/handoff_everything/dagRuns", {"logical_date": None, "conf": form})

    def got() -> list[dict[str, Any]]:
        return [e for e in effects(stack) if e["contact"] == "chefin@meine-firma.example.org"]

    found = eventually(lambda: got() if len([e for e in got() if e["system"] == "email"]) else [])
    assert [e["system"] for e in found if e["action"] in {"tag", "mail"}] == ["klicktipp", "activecampaign", "email"]
    assert "Probelauf" in found[-1]["detail"]["subject"]


def test_an_address_that_cannot_be_used_fails_clearly(running: tuple[Stack, float]) -> None:
    stack, _ = running
    form = {"mode": "one_contact", "email": "nicht@eine@adresse"}
    run = stack.api.post("dags/handoff_everything/dagRuns", {"logical_date": None, "conf": form})
    path = f"dags/handoff_everything/dagRuns/{run['dag_run_id']}"
    eventually(lambda: stack.api.get(path)["state"] == "failed")
    assert "invalid_email" in task_logs(stack, run["dag_run_id"])


def tasks_of(stack: Stack, run_id: str) -> dict[str, str]:
    found = stack.api.get(f"dags/handoff_everything/dagRuns/{run_id}/taskInstances")["task_instances"]
    return {task["task_id"]: task["state"] for task in found}


def test_a_reset_is_all_that_its_run_does(running: tuple[Stack, float]) -> None:
    stack, _ = running
    form = {"mode": "reset", "email": "zurueck@meine-firma.example.org"}
    run = stack.api.post("dags/handoff_everything/dagRuns", {"logical_date": None, "conf": form})["dag_run_id"]
    eventually(lambda: stack.api.get(f"dags/handoff_everything/dagRuns/{run}")["state"] == "success")
    states = tasks_of(stack, run)
    assert states == {"gather": "success"} | dict.fromkeys(("deliver", "settle", "certify"), "skipped")
    assert [effect for effect in effects(stack) if effect["contact"] == form["email"]] == []


def test_an_address_that_would_be_ignored_fails_clearly(running: tuple[Stack, float]) -> None:
    stack, _ = running
    form = {"email": "vergessen@meine-firma.example.org"}
    run = stack.api.post("dags/handoff_everything/dagRuns", {"logical_date": None, "conf": form})["dag_run_id"]
    eventually(lambda: stack.api.get(f"dags/handoff_everything/dagRuns/{run}")["state"] == "failed")
    assert tasks_of(stack, run)["gather"] == "failed"
    assert "E-mail (E-Mail-Adresse)" in task_logs(stack, run)


def test_no_contact_data_in_task_logs(running: tuple[Stack, float]) -> None:
    stack, _ = running
    written = "".join(path.read_text(encoding="utf-8") for path in (stack.settings.logs / "tasks").rglob("*.log"))
    assert "certify" in written
    # A trigger form's values are the operator's own entry and belong to Airflow's record of the run.
    assert "@everything.example.org" not in written
    secrets = {name: value for name, value in vars(credentials).items() if name.isupper() and "USER" not in name}
    assert len(secrets) >= 7
    assert [name for name, value in secrets.items() if value in written] == []


def test_airflow_keeps_no_contact_data_and_no_secrets(running: tuple[Stack, float]) -> None:
    """In XComs, DAGs, events, rendered fields, notes and every other table, and in the logs of all its parts."""
    stack, _ = running
    eventually(lambda: [run for run in runs(stack, "everything") if run["state"] == "success"])
    kept = records(stack)
    looked_at = {"xcom", "serialized_dag", "dag_code", "asset_event", "rendered_task_instance_fields", "log"}
    assert {name for name in looked_at if kept[name] == "[]"} == set()
    assert {"task_instance_note", "dag_run_note", "logs/airflow.log"} <= kept.keys()
    assert [part for part in PARTS if f"{part} " not in kept["logs/airflow.log"]] == []
    secrets = [value for name, value in vars(credentials).items() if name.isupper() and "USER" not in name]
    people = [f"{date}.example.org" for date in ("everything", "cancelled", "moved")]
    people += [name for name in LAST_NAMES if len(name) > LIKE_ANY_OTHER]
    assert told([*people, *secrets, *kept_secrets(stack.settings.run).values()], kept) == []
    # What an operator entered into the form is Airflow's record of the run, and of who started it.
    assert {place for _, place in told(["meine-firma", "nicht@eine"], kept)} <= {"dag_run", "log"}


def test_the_tab_with_the_steps_is_there(running: tuple[Stack, float]) -> None:
    stack, _ = running
    answer = stack.api.get("plugins")
    [plugin] = [one for one in answer["plugins"] if one["name"] == "handoffs"]
    [view] = plugin["external_views"]
    assert (view["destination"], view["name"]) == ("dag", "Handoff (Schritte)")
    page = requests.get(f"{stack.urls.ui}/{view['href']}".replace("{DAG_ID}", "handoff_everything"), timeout=10)
    assert (page.status_code, "klicktipp.contact" in page.text, "<svg" in page.text) == (200, True, True)


def task_logs(stack: Stack, run_id: str) -> str:
    folders = Path(stack.settings.logs / "tasks").glob(f"**/run_id={run_id}")
    return "".join(path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.log"))
