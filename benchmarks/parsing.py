"""How long Airflow needs to parse 100 rule files into DAGs, imports included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figure import Figure

CHECKOUT = Path(__file__).resolve().parents[1]
COUNT = 100
PARSE = """
import json, sys, time
began = time.monotonic()
from airflow.dag_processing.dagbag import DagBag
loaded = time.monotonic()
bag = DagBag(sys.argv[1], safe_mode=False)
print(json.dumps({"seconds": time.monotonic() - loaded, "dags": len(bag.dags), "errors": len(bag.import_errors)}))
"""


def parsing_100() -> list[Figure]:
    """Measure ``dags/handoffs.py`` with 100 rule files in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        rules = home / "include" / "handoffs"
        rules.mkdir(parents=True)
        text = (CHECKOUT / "include" / "handoffs" / "webinar_attended.yaml").read_text(encoding="utf-8")
        for number in range(COUNT):
            rule = text.replace("id: webinar_attended", f"id: rule_{number}")
            (rules / f"rule_{number}.yaml").write_text(rule, encoding="utf-8")
        environment = os.environ | {
            "AIRFLOW_HOME": str(home / "airflow"),
            "HANDOFFS_HOME": str(home),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }
        command = [sys.executable, "-W", "ignore", "-c", PARSE, str(CHECKOUT / "dags" / "handoffs.py")]
        printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    found = json.loads(printed.strip().splitlines()[-1])
    seconds = found["seconds"] if found["dags"] == COUNT and not found["errors"] else float("inf")
    return [Figure("parsing_100", seconds, 3.0, "s", False, f"{found['dags']} DAGs, {found['errors']} import errors")]
