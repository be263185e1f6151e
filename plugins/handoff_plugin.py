"""The one file that Airflow discovers in this folder."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from web.mounted import app

PREFIX = "/handoffs"


class Preloading:
    """Imports what the tasks need where Airflow forks them from: once, instead of half a second in each task."""

    @hookimpl
    def on_starting(self, component: Any) -> None:
        """Import when scheduler, DAG processor or triggerer starts; a task's process has it by then, or does not care.

        :param component: the ``Job`` of such a part, or the mark of a task's process.
        """
        if type(component).__name__ == "Job":
            import_module("operators.preloaded")


class HandoffPlugin(AirflowPlugin):
    """Handoffs: webinars, CRM, appointments and surveys handed over in order, on time, none twice."""

    name = "handoffs"
    listeners: list[Any] = [Preloading()]
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
