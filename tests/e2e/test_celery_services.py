"""The services of ``docker-compose.yaml`` with its own settings: CeleryExecutor, Redis, two workers, two triggerers."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import requests
from celery import Celery

from launch.connections import connections
from launch.laboratory import rule_text, webinar
from launch.settings import CHECKOUT, Settings
from tests.support.airflow_user import AirflowUser
from tests.support.compose_file import filled_in_env
from tests.support.composed import Composed, missing_tools

pytestmark = pytest.mark.e2e

# A task leases 640 lanes at most ahead of the answers; the others are left for whoever comes while it waits for them.
PEOPLE, SOON, SLOW_SECONDS = 760, 6.0, 12.0
STEPS = [
    {"step": "klicktipp.contact", "tag": "shared"},
    {"step": "klicktipp.tag", "tag": "second", "create": True},
    {"step": "activecampaign.tag", "tag": "shared", "create": True, "bulk": "never"},
]
ACCOUNTS = ("webinaris_default", "klicktipp_default", "activecampaign_default", "smtp_default")


def env_of(folder: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """Fill in ``.env`` as an operator would, with accounts at the sandbox."""
    settings = Settings(run=folder, ui_port=ports["ui"], sandbox_port=ports["sandbox"], smtp_port=ports["smtp"])
    described = {one["conn_id"]: one for one in connections(settings, "") if one["conn_id"] in ACCOUNTS}
    given = {"AIRFLOW_PORT": str(ports["ui"])}
    for conn_id, one in described.items():
        extra = json.loads(one["extra"])
        if conn_id == "klicktipp_default":
            extra["timeout"] = 5 * SLOW_SECONDS
        if conn_id == "activecampaign_default":
            extra["requests_per_second"] = 1000
        known = {name: one[name] for name in ("conn_type", "host", "login", "password", "port") if name in one}
        given[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(known | {"extra": extra})
    return filled_in_env(CHECKOUT / ".env.example", given)


@pytest.fixture(scope="module")
def composed() -> Iterator[Composed]:
    lacking = [f"{package} (apt-get or brew install {package})" for package in missing_tools()]
    if find_spec("airflow.providers.fab") is None:
        lacking.append("apache-airflow-providers-fab (make venv)")
    if lacking:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"first install {' and '.join(lacking)}")
    with tempfile.TemporaryDirectory(prefix="handoff-compose-", dir="/tmp") as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        scenario = folder / "scenario.yaml"
        dates = [{"id": "shared", "start": -3600, "end": SOON}]
        world = {
            "klicktipp": {"tags": ["shared"]}, "activecampaign": {"per_second": None},
            "webinars": [webinar("S", dates, people=PEOPLE)],
        }  # fmt: skip
        scenario.write_text(json.dumps(world), encoding="utf-8")
        made = Composed(folder, partial(env_of, folder), scenario)
        see_the_checkout(made)
        with made:
            yield made


def see_the_checkout(composed: Composed) -> None:
    """Let the image's folders show what compose mounts there, with one rule of our own."""
    for name, place in composed.file.mounts("worker").items():
        if name == "include":
            (place / "handoffs").mkdir(parents=True)
            (place / "templates").symlink_to(CHECKOUT / "include" / "templates")
            (place / "handoffs" / "shared.yaml").write_text(rule_text("shared", "S", steps=STEPS), encoding="utf-8")
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(CHECKOUT / name)


@pytest.fixture(scope="module")
def user(composed: Composed) -> Iterator[AirflowUser]:
    user = AirflowUser(composed.ui, composed.env["AIRFLOW_ADMIN_USER"], composed.env["AIRFLOW_ADMIN_PASSWORD"])
    yield user
    user.close()


@pytest.fixture(scope="module")
def began(composed: Composed, user: AirflowUser) -> float:
    """Switch on what docs/existing-airflow.md says; return when the world began (unix seconds)."""
    wanted = {"watch_webinaris", "handoff_shared"}
    composed.wait_for(lambda: user.dag_ids() >= wanted, "the DAGs are not known")
    for dag_id in sorted(wanted):
        user.switch_on(dag_id)
    order(composed, "latency", system="klicktipp", seconds=SLOW_SECONDS)
    return float(order(composed, "start")["started"])


def order(composed: Composed, path: str, **body: Any) -> dict[str, Any]:
    answer = requests.post(f"{composed.sandbox}/_sandbox/{path}", json=body, timeout=10)
    assert answer.ok, answer.text
    return dict(answer.json())


def effects(composed: Composed) -> list[dict[str, Any]]:
    return list(requests.get(f"{composed.sandbox}/_sandbox/effects", timeout=30).json()["effects"])


def busy_workers(composed: Composed) -> int:
    """Return how many tasks hold leases of lanes now."""
    with psycopg.connect(composed.ledger_url) as connection:
        rows = connection.execute("SELECT count(DISTINCT lease_owner) FROM handoff.lanes WHERE leased_until > now()")
        return int(rows.fetchone()[0])


def delivering_in(composed: Composed, task: dict[str, Any]) -> str | None:
    """Return the Celery worker whose child carries out a task now."""
    if task["state"] != "running" or not task["pid"]:
        return None
    above = {process.pid for process in psutil.Process(task["pid"]).parents()}
    return next((name for name in ("worker-1", "worker-2") if composed.pid(name) in above), None)


def takes_no_more(composed: Composed, worker: str) -> None:
    """Tell a Celery worker to finish what it has, and to take nothing more."""
    with Celery(broker=composed.services["worker"].environment["AIRFLOW__CELERY__BROKER_URL"]) as app:
        told = app.control.cancel_consumer("default", destination=[f"celery@{worker}"], reply=True, timeout=30, limit=1)
    assert [set(answer) for answer in told] == [{f"celery@{worker}"}]


def test_the_first_user_logs_in_and_every_part_is_healthy(composed: Composed, user: AirflowUser) -> None:
    health = user.get("monitor/health")
    parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
    assert {part: health[part]["status"] for part in parts} == dict.fromkeys(parts, "healthy")
    assert {"worker-1", "worker-2", "triggerer-1", "triggerer-2"} <= composed.healthy
    url = f"{composed.ui}/api/v2/dags"
    assert requests.get(url, timeout=30).status_code == 401


def test_two_celery_workers_share_one_batch(composed: Composed, user: AirflowUser, began: float) -> None:
    def where(number: int) -> str | None:
        runs = user.runs("handoff_shared")
        deliver = user.tasks(runs[number]).get("deliver") if len(runs) > number else None
        return delivering_in(composed, deliver) if deliver else None

    first = composed.wait_for(lambda: busy_workers(composed) == 1 and where(0), "nobody delivers")
    takes_no_more(composed, first)
    user.post("dags/handoff_shared/dagRuns", {"logical_date": None, "conf": {"mode": "due_now"}})
    second = composed.wait_for(lambda: busy_workers(composed) == 2 and where(1), "the other worker has no part in it")
    order(composed, "latency", system="klicktipp", seconds=0.0)
    assert {first, second} == {"worker-1", "worker-2"}


def test_both_runs_end_well_and_the_certificate_is_even(composed: Composed, user: AirflowUser) -> None:
    def ended() -> list[dict[str, Any]]:
        runs = user.runs("handoff_shared")
        return runs if all(run["end_date"] for run in runs) else []

    runs = composed.wait_for(ended, "the runs do not end")
    assert [run["state"] for run in runs] == ["success", "success"]
    # Whichever run comes to its end first writes it.
    certificates = [one for run in runs for one in user.returned(run, "certify")]
    assert {(one["listed"], one["handled"], one["pending"]) for one in certificates} == {(PEOPLE, PEOPLE, 0)}


def test_the_command_knows_ledger_and_rules_in_the_container(composed: Composed, began: float) -> None:
    def said(*words: str) -> str:
        done = composed.execute("scheduler-1", "handoff", *words)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert json.loads(said("pending", "shared", "--json"))["known"]
    assert "shared" in said("list")


def test_tasks_inherit_from_their_worker_what_they_need(user: AirflowUser) -> None:
    """Importing it in each task takes half a second and more."""
    run = f"dags/handoff_shared/dagRuns/{user.runs('handoff_shared')[0]['dag_run_id']}"
    lines = user.get(f"{run}/taskInstances/certify/logs/1")["content"]
    assert [line["dag_file_parse_ms"] < 250 for line in lines if "dag_file_parse_ms" in line] == [True]


def test_everybody_gets_every_step_once_and_not_before_the_moment(composed: Composed, began: float) -> None:
    found = effects(composed)
    done = Counter((e["contact"], e["system"], e["detail"].get("tag")) for e in found if e["action"] == "tag")
    assert len({contact for contact, _, _ in done}) == PEOPLE
    assert (len(done), set(done.values())) == (PEOPLE * 3, {1})
    assert min(effect["at"] for effect in found) >= began + SOON
