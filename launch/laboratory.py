"""A real Airflow with rules and webinars made for it: what tests and benches run."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from launch.settings import CHECKOUT, Settings
from launch.stack import Stack

OWN_DAGS = ("watch_webinaris", "sweep")
"""DAGs that are there whatever rules there are."""


def rule_text(rule_id: str, webinar_id: str, **changes: Any) -> str:
    """Return a rule file: at the end of a webinar everybody gets a tag named like the rule, in one call."""
    rule = {
        "id": rule_id, "title": rule_id, "webinars": [webinar_id], "when": {"minutes": 0, "after": "end"},
        "who": "registered", "steps": [{"step": "klicktipp.contact", "tag": rule_id}],
    }  # fmt: skip
    return json.dumps(rule | changes)


def webinar(webinar_id: str, dates: list[dict[str, Any]], people: int = 20) -> dict[str, Any]:
    """Return a webinar of a scenario; every date has its own people."""
    made = [
        date | {"generate": {"count": people, "attended": 0.5, "seed": number, "domain": f"{date['id']}.example.org"}}
        for number, date in enumerate(dates)
    ]
    return {"id": webinar_id, "title": webinar_id, "dates": made}


@contextmanager
def running_airflow(rules: dict[str, str], webinars: list[dict[str, Any]]) -> Iterator[tuple[Stack, float]]:
    """Start everything with these rules and webinars; give it and when the world began (unix seconds)."""
    with tempfile.TemporaryDirectory(prefix="handoff-lab-") as folder:
        home = Path(folder) / "home"
        (home / "include" / "handoffs").mkdir(parents=True)
        for name in ("dags", "plugins"):
            (home / name).symlink_to(CHECKOUT / name)
        (home / "include" / "templates").symlink_to(CHECKOUT / "include" / "templates")
        for rule_id, text in rules.items():
            (home / "include" / "handoffs" / f"{rule_id}.yaml").write_text(text, encoding="utf-8")
        scenario = Path(folder) / "scenario.yaml"
        scenario.write_text(json.dumps({"klicktipp": {"tags": list(rules)}, "webinars": webinars}), encoding="utf-8")
        # The embedded server is another user's process when root runs this.
        Path(folder).chmod(0o755)
        with Stack(Settings(run=Path(folder) / "run", home=home, scenario=scenario)) as stack:
            wait_for_dags(stack, len(rules) + len(OWN_DAGS))
            answer = requests.post(f"{stack.urls.sandbox}/_sandbox/start", json={}, timeout=10)
            yield stack, float(answer.json()["started"])


def wait_for_dags(stack: Stack, count: int, seconds: float = 60) -> None:
    """Wait until Airflow knows so many DAGs."""
    deadline = time.monotonic() + seconds
    while len(stack.api.dags()) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Airflow does not know {count} DAGs")
        time.sleep(0.5)


def effects(stack: Stack) -> list[dict[str, Any]]:
    """Return the sandbox's list of effects."""
    found = requests.get(f"{stack.urls.sandbox}/_sandbox/effects", timeout=10).json()["effects"]
    return list(found)
