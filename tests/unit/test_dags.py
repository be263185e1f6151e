"""The DAG files: one DAG a rule, quickly, without a network, and a wrong rule hides no other."""

from __future__ import annotations

import re
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import AssetAlias, TriggerRule
from airflow.sdk.definitions.asset import AssetUniqueKey
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from handoff.rules.file import load_folder
from operators.assets import rule_asset
from triggers.doorbell import DoorbellTrigger

SHIPPED = {
    "handoff_pitch_missed", "handoff_pitch_seen", "handoff_webinar_attended", "handoff_webinar_missed",
    "handoff_customer_survey", "handoff_survey_answer_note", "handoff_appointment_booked",
    "handoff_appointment_changed", "handoff_appointment_cancelled", "handoff_appointment_reminder",
    "handoff_appointment_newsletter", "handoff_newsletter_confirmed",
}  # fmt: skip
WATCH, SWEEP = "watch_webinaris", "sweep"
WATCHED = {WATCH, "watch_insightly", "watch_etermin"}
TASKS = ["gather", "deliver", "settle", "certify"]


@pytest.fixture
def home(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ``include/`` that a test may change."""
    shutil.copytree(project / "include", tmp_path / "include")
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a DAG file opened a socket")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def parsed(project: Path) -> DagBag:
    return DagBag(project / "dags", bundle_path=project / "dags")


def test_the_shipped_rules_become_dags(project: Path) -> None:
    bag = parsed(project)
    assert bag.import_errors == {}
    assert set(bag.dags) == SHIPPED | WATCHED | {SWEEP}


def test_a_rule_s_dag_shows_the_rule(project: Path) -> None:
    bag = parsed(project)
    for file in load_folder(project / "include" / "handoffs")[0]:
        dag = bag.dags[f"handoff_{file.rule.id}"]
        assert dag.dag_display_name == file.rule.title
        assert dag.description == file.rule.description
        assert {"handoff", file.rule.source, *file.rule.tags} == set(dag.tags)
        assert dag.owner == file.rule.owner
        assert all(step.step in (dag.doc_md or "") for step in file.rule.steps)
        assert file.path.name in (dag.doc_md or "")
        assert dag.catchup is False


def test_a_rule_s_dag_runs_its_tasks_in_order(project: Path) -> None:
    dag = parsed(project).dags["handoff_webinar_attended"]
    downstream = {task.task_id: task.downstream_task_ids for task in dag.tasks}
    assert downstream == {"gather": {"deliver"}, "deliver": {"settle"}, "settle": {"certify"}, "certify": set()}
    assert dag.task_dict["deliver"].is_mapped
    for name in ("settle", "certify"):
        assert dag.task_dict[name].trigger_rule == TriggerRule.ALL_DONE
    for task in dag.tasks:
        assert task.retries == 2
        assert task.owner == "marketing"
        assert task.doc_md


def test_a_rule_s_dag_is_started_by_its_own_doorbell(project: Path) -> None:
    dag = parsed(project).dags["handoff_webinar_attended"]
    [asset] = dag.schedule
    [watcher] = asset.watchers
    assert (asset.name, asset.uri) == ("handoff_webinar_attended", "handoff://webinar_attended/")
    path = f"{DoorbellTrigger.__module__}.{DoorbellTrigger.__qualname__}"
    assert watcher.trigger.serialize()[0] == path
    assert watcher.trigger.serialize()[1]["rule_id"] == "webinar_attended"


def test_the_form(project: Path) -> None:
    dag = parsed(project).dags["handoff_webinar_attended"]
    values = {name: dag.params[name] for name in dag.params}
    assert list(values.items()) == list({
        "mode": "due_now", "email": None, "first_name": None, "last_name": None, "recipients": None, "language": "de",
        "occasion_title": "Test", "occasion_start": None, "occasion_end": None,
    }.items())  # fmt: skip
    form = {name: dag.params.get_param(name) for name in dag.params}
    for mode in ("due_now", "one_contact", "reset"):
        form["mode"].resolve(mode)
    form["email"].resolve("eva@example.org")
    form["occasion_start"].resolve("2026-11-20T18:00:00+01:00")
    for name, wrong in (("mode", "all"), ("language", "fr"), ("occasion_title", None), ("occasion_title", "")):
        with pytest.raises(ParamValidationError):
            form[name].resolve(wrong)


def test_what_to_do_and_with_whom_stand_in_the_section_that_is_open(project: Path) -> None:
    """Airflow shows one section of a form at a time: an address in another one would be filled in without the mode."""
    for dag in (one for name, one in parsed(project).dags.items() if name.startswith("handoff_")):
        form = {name: dag.params.get_param(name).schema for name in dag.params}
        apart = {name for name, schema in form.items() if "section" in schema}
        assert apart == {name for name in form if name.startswith("occasion_")}
        assert list(form)[0] == "mode"
        assert list(form)[-len(apart) :] == [name for name in form if name in apart]


def test_the_form_is_in_both_languages(project: Path) -> None:
    for dag in (one for name, one in parsed(project).dags.items() if name.startswith("handoff_")):
        schemas = [dag.params.get_param(name).schema for name in dag.params]
        titles = [schema["title"] for schema in schemas]
        sections = [schema["section"] for schema in schemas if "section" in schema]
        labels = dag.params.get_param("mode").schema["values_display"]
        assert set(labels) == set(dag.params.get_param("mode").schema["enum"])
        for words in (*titles, *sections, *labels.values()):
            assert re.search(r"\w.*\(\w.+\)", words), words


def test_dags_survive_their_serialisation(project: Path) -> None:
    for dag in parsed(project).dags.values():
        again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert [task.task_id for task in again.tasks] == [task.task_id for task in dag.tasks]
        assert {"rule", "ledger_conn_id"} & set(dag.tasks[0].template_fields)


def test_the_sweep(project: Path) -> None:
    dag = parsed(project).dags[SWEEP]
    assert (dag.schedule, dag.catchup, dag.max_active_runs) == ("*/5 * * * *", False, 1)
    assert (dag.owner, set(dag.tags), dag.params["compare_now"]) == ("handoffs", {"handoff"}, False)
    task, tell, outcome = (dag.get_task(name) for name in ("sweep", "tell", "outcome"))
    assert (len(dag.tasks), tell.upstream_task_ids, tell.trigger_rule) == (3, {"sweep"}, "all_done")
    assert (outcome.upstream_task_ids, outcome.trigger_rule) == ({"sweep"}, "all_success")
    assert task.doc_md
    assert tell.doc_md
    assert outcome.doc_md
    assert dag.doc_md
    assert [(type(one), one.name) for one in task.outlets] == [
        (AssetAlias, "handoff_certificate_news"), (AssetAlias, "handoff_sweep_bells")
    ]  # fmt: skip


def test_the_sweep_rings_the_assets_that_start_the_rules(project: Path) -> None:
    dags = parsed(project).dags
    for dag_id in SHIPPED:
        [asset] = dags[dag_id].schedule
        assert AssetUniqueKey.from_asset(asset) == AssetUniqueKey.from_asset(
            rule_asset(dag_id.removeprefix("handoff_"))
        )
        certify = dags[dag_id].get_task("certify")
        assert [one.name for one in certify.outlets] == ["handoff_certificate_news"]


def test_a_wrong_rule_hides_no_other_and_says_where_it_is_wrong(project: Path, home: Path) -> None:
    wrong = home / "include" / "handoffs" / "webinar_missed.yaml"
    lines = wrong.read_text().splitlines()
    place = lines.index("who: not_attended") + 1
    wrong.write_text("\n".join(lines).replace("who: not_attended", "who: not_atended"))
    (home / "include" / "handoffs" / "broken.yaml").write_text("id: [")
    bag = parsed(project)
    assert set(bag.dags) == SHIPPED - {"handoff_webinar_missed"} | WATCHED | {SWEEP}
    [(file, error)] = bag.import_errors.items()
    assert file.endswith("rule_problems.py")
    assert f"webinar_missed.yaml:{place}:" in error
    assert "did you mean: not_attended" in error
    assert "broken.yaml:1:" in error


def test_a_missing_template_is_told_too(project: Path, home: Path) -> None:
    for path in (home / "include" / "templates").glob("webinar_missed.*"):
        path.unlink()
    bag = parsed(project)
    [error] = bag.import_errors.values()
    assert "webinar_missed" in error
    assert SHIPPED - {"handoff_webinar_missed"} <= set(bag.dags)


def test_no_rules_at_all(project: Path, home: Path) -> None:
    for path in (home / "include" / "handoffs").glob("*.yaml"):
        path.unlink()
    bag = parsed(project)
    assert (set(bag.dags), bag.import_errors) == ({WATCH, SWEEP}, {})


def test_a_rule_for_another_account_gets_a_watcher_for_it(project: Path, home: Path) -> None:
    folder = home / "include" / "handoffs"
    text = (folder / "pitch_seen.yaml").read_text().replace("id: pitch_seen", "id: other\nconn_id: webinaris_second")
    (folder / "other.yaml").write_text(text)
    assert {WATCH, "watch_webinaris_second", "handoff_other"} <= set(parsed(project).dags)


def test_every_etermin_account_that_a_rule_names_is_watched(project: Path, home: Path) -> None:
    folder = home / "include" / "handoffs"
    text = (folder / "appointment_reminder.yaml").read_text().replace("id: appointment_reminder", "id: other")
    (folder / "other.yaml").write_text(text.replace("conn_id: etermin_default", "conn_id: etermin_zurich"))
    bag = parsed(project)
    assert set(bag.dags) - SHIPPED - WATCHED - {SWEEP} == {"watch_etermin_zurich", "handoff_other"}
    dag = DagSerialization.from_dict(DagSerialization.to_dict(bag.dags["watch_etermin_zurich"]))
    downstream = {task.task_id: task.downstream_task_ids for task in dag.tasks}
    assert downstream == {"next_poll": {"wait_for_poll"}, "wait_for_poll": {"record"}, "record": set()}
    watching = bag.dags["watch_etermin_zurich"]
    assert (watching.max_active_runs, watching.catchup) == (1, False)
    assert watching.get_task("record").etermin_conn_id == watching.get_task("next_poll").account == "etermin_zurich"


def test_a_callexa_account_that_a_step_names_is_watched(project: Path, home: Path) -> None:
    folder = home / "include" / "handoffs"
    text = (folder / "customer_survey.yaml").read_text().replace("- step: survey", "- step: callexa.recipient")
    for rule_id, conn_id in (("one", "callexa_default"), ("two", "callexa_default"), ("three", "callexa_second")):
        step = f"survey: {rule_id}\n    conn_id: {conn_id}"
        changed = text.replace("id: customer_survey", f"id: {rule_id}").replace("survey: zufriedenheit", step)
        (folder / f"{rule_id}.yaml").write_text(changed)
    bag = parsed(project)
    assert bag.import_errors == {}
    assert set(bag.dags) - SHIPPED - WATCHED - {SWEEP} == {
        "watch_callexa", "watch_callexa_second", "handoff_one", "handoff_two", "handoff_three",
    }  # fmt: skip
    dag = DagSerialization.from_dict(DagSerialization.to_dict(bag.dags["watch_callexa"]))
    downstream = {task.task_id: task.downstream_task_ids for task in dag.tasks}
    assert downstream == {"next_poll": {"wait_for_poll"}, "wait_for_poll": {"record"}, "record": set()}
    assert "`one`, `two`" in (dag.doc_md or "")
    # The list of surveys, and the answers of each.
    assert bag.dags["watch_callexa"].get_task("next_poll").requests == 3


def test_a_hundred_rules_cost_little_to_parse(project: Path, home: Path) -> None:
    folder = home / "include" / "handoffs"
    text = (folder / "webinar_attended.yaml").read_text()
    for number in range(96):
        (folder / f"rule_{number}.yaml").write_text(text.replace("id: webinar_attended", f"id: rule_{number}"))
    # Processor time, with room for a slow machine: three seconds by the clock is what `make bench` measures.
    began = time.process_time()
    bag = parsed(project)
    seconds = time.process_time() - began
    assert (len(bag.dags), bag.import_errors) == (112, {})
    assert seconds < 6
