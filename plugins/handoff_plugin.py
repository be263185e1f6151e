"""The one file that Airflow discovers in this folder."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from web.mounted import app

PREFIX = "/handoffs"


class HandoffPlugin(AirflowPlugin):
    """Handoffs: webinars, CRM, appointments and calls handed over in order, on time, none twice."""

    name = "handoffs"
    fastapi_apps: list[Any] = [{"name": "handoffs", "app": app, "url_prefix": PREFIX}]
    # Without a leading slash: the address then also holds where Airflow itself lives below a path.
    external_views: list[Any] = [
        {
            "name": "Handoff (Schritte)",
            "href": f"{PREFIX.removeprefix('/')}/rules/{{DAG_ID}}/steps",
            "destination": "dag",
            "url_route": "handoff",
        }
    ]
