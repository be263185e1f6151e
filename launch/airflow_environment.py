"""The environment in which Airflow and everything else of a run works: nothing of the user's own Airflow."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from launch import postgres
from launch.settings import HOST, SECRETS, LaunchError, Settings, kept_secrets

FOREIGN = ("AIRFLOW", "HANDOFFS_", "PG", "PYTHON", "_AIRFLOW")
"""Beginnings of variables that would change what Airflow, the ledger or Python do here."""
KEPT = frozenset({"PYTHONWARNINGS", "PYTHONUTF8"})
PARALLELISM = 16

# ``airflow standalone`` starts its parts by name and cannot tell them to leave out their log servers,
# which listen on all interfaces. The UI reads the logs from disk here.
SHIM = """#!/bin/sh
echo $$ > "$HANDOFFS_PIDS/$1"
case "$1" in
    scheduler|triggerer) exec "$HANDOFFS_AIRFLOW" "$@" --skip-serve-logs ;;
    *) exec "$HANDOFFS_AIRFLOW" "$@" ;;
esac
"""


def base_environment(settings: Settings, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what every process of the run gets; makes the folders and the small script that it names.

    :raises LaunchError: when Airflow is not installed beside this Python.
    """
    kept = {name: value for name, value in inherited.items() if not name.startswith(FOREIGN) or name in KEPT}
    runtime = postgres.runtime_folder(settings.run)
    (runtime / "python_PostgresServer").mkdir(parents=True, exist_ok=True)
    return kept | {
        "XDG_RUNTIME_DIR": str(runtime),
        "PYTHONUNBUFFERED": "1",
        "HANDOFFS_HOME": str(settings.home),
        "HANDOFFS_PIDS": str(settings.pids),
        "HANDOFFS_AIRFLOW": _airflow(),
        "PATH": os.pathsep.join([str(_shim(settings)), str(Path(sys.executable).parent), kept.get("PATH", os.defpath)]),
        "NO_PROXY": f"{HOST},localhost",
        "no_proxy": f"{HOST},localhost",
    }


def airflow_environment(settings: Settings, socket_folder: str) -> dict[str, str]:
    """Return Airflow's configuration as environment variables.

    :param socket_folder: where the embedded PostgreSQL listens.
    """
    ui = f"http://{HOST}:{settings.ui_port}"
    return {name: secret for name, secret in kept_secrets(settings.run).items() if name in SECRETS} | {
        "AIRFLOW_HOME": str(settings.airflow_home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(settings.home / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(settings.home / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(PARALLELISM),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        # No login: whoever can reach loopback is the user who ran this.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{ui}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url(socket_folder, "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": postgres.url(socket_folder, "airflow"),
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(settings.ui_port),
        "AIRFLOW__API__BASE_URL": ui,
        "HANDOFF_PUBLIC_URL": ui,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(settings.logs / "tasks"),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        # What a killed scheduler or worker leaves is taken up within seconds instead of minutes.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
        # The bells of a killed triggerer are taken over by another, or by the same one started again, only after it
        # has not been heard of for so long: this is most of the time until delivery goes on after a restart.
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    }


def _airflow() -> str:
    found = shutil.which("airflow", path=str(Path(sys.executable).parent))
    if found is None:
        raise LaunchError(f"there is no airflow beside {sys.executable}; run make venv first")
    return found


def _shim(settings: Settings) -> Path:
    folder = settings.run / "bin"
    folder.mkdir(exist_ok=True)
    script = folder / "airflow"
    script.write_text(SHIM, encoding="utf-8")
    script.chmod(0o755)
    return folder
