"""The one file that Airflow discovers in this folder."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class HandoffPlugin(AirflowPlugin):
    """Handoffs: webinars, CRM, appointments and calls handed over in order, on time, none twice."""

    name = "handoffs"
