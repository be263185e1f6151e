"""A person with a password at an Airflow's REST API."""

from __future__ import annotations

from typing import Any

import requests

REQUEST_SECONDS = 30.0


class AirflowUser:
    """Somebody who has logged in.

    :param url: e.g. ``http://127.0.0.1:8080``.
    :raises requests.HTTPError: the password is not accepted.
    """

    def __init__(self, url: str, name: str, password: str) -> None:
        self._url, self._session = f"{url}/api/v2", requests.Session()
        self._session.trust_env = False
        who = {"username": name, "password": password}
        answer = self._session.post(f"{url}/auth/token", json=who, timeout=REQUEST_SECONDS)
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """Return the answer of ``GET /api/v2/<path>``."""
        return self._call("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of ``POST /api/v2/<path>``."""
        return self._call("POST", path, json=body)

    def switch_on(self, dag_id: str) -> None:
        """Unpause a DAG, and have its file read again at once: only then what starts it is watched."""
        self._call("PATCH", f"dags/{dag_id}?update_mask=is_paused", json={"is_paused": False})
        self._call("PUT", f"parseDagFile/{self.get(f'dags/{dag_id}')['file_token']}")

    def dag_ids(self) -> set[str]:
        """Return the DAGs that are known."""
        return {dag["dag_id"] for dag in self.get("dags", limit=100)["dags"]}

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG, the oldest first."""
        return list(self.get(f"dags/{dag_id}/dagRuns", order_by="run_after")["dag_runs"])

    def tasks(self, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the task instances of a run by their task's id."""
        found = self.get(f"dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances")["task_instances"]
        return {task["task_id"]: task for task in found}

    def returned(self, run: dict[str, Any], task_id: str) -> Any:
        """Return what a task returned."""
        path = f"dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.get(path)["value"]

    def close(self) -> None:
        """End the connections."""
        self._session.close()

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        response = self._session.request(method, f"{self._url}/{path}", timeout=REQUEST_SECONDS, **arguments)
        response.raise_for_status()
        body: dict[str, Any] = response.json()
        return body
