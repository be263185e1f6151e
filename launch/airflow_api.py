"""What is asked of the running Airflow over its REST API."""

from __future__ import annotations

from typing import Any

import requests

REQUEST_SECONDS = 10.0
PARTS = {"metadatabase": "", "scheduler": "scheduler", "triggerer": "triggerer", "dag_processor": "dag-processor"}


class AirflowApi:
    """A client of one Airflow whose users need no login.

    :param url: e.g. ``http://127.0.0.1:8080``.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        """End the connections, for which Airflow would wait when it ends."""
        self._session.close()

    def unhealthy(self) -> list[str]:
        """Return the parts that do not work yet; all of them while nobody answers."""
        try:
            answer = self._session.get(f"{self._url}/api/v2/monitor/health", timeout=REQUEST_SECONDS)
            health: dict[str, Any] = answer.json() if answer.ok else {}
        except (requests.RequestException, ValueError):
            return ["api-server"]
        return [part for part in PARTS if (health.get(part) or {}).get("status") != "healthy"]

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """Return the answer of ``GET /api/v2/<path>``.

        :raises requests.RequestException: when it cannot be had.
        """
        return self._call("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of ``POST /api/v2/<path>``.

        :raises requests.RequestException: when it cannot be had.
        """
        return self._call("POST", path, json=body)

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of ``PATCH /api/v2/<path>``.

        :raises requests.RequestException: when it cannot be had.
        """
        return self._call("PATCH", path, json=body)

    def put(self, path: str) -> None:
        """Call ``PUT /api/v2/<path>``.

        :raises requests.RequestException: when it is not done.
        """
        self._call("PUT", path)

    def dags(self) -> dict[str, bool]:
        """Return the ids of the known DAGs, and whether each is paused.

        :raises requests.RequestException: when they cannot be read.
        """
        known: dict[str, bool] = {}
        while True:
            page = self.get("dags", limit=100, offset=len(known), exclude_stale="true", order_by="dag_id")
            known |= {dag["dag_id"]: dag["is_paused"] for dag in page["dags"]}
            if not page["dags"] or len(known) >= page["total_entries"]:
                return known

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        if "Authorization" not in self._session.headers:
            answer = self._session.get(f"{self._url}/auth/token", timeout=REQUEST_SECONDS)
            answer.raise_for_status()
            self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        response = self._session.request(method, f"{self._url}/api/v2/{path}", timeout=REQUEST_SECONDS, **arguments)
        response.raise_for_status()
        body: dict[str, Any] = response.json()
        return body
