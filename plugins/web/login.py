"""Who may see a page of the console: Airflow's own login and permissions.

Airflow mounts a plugin's app without any login, so every route of the console depends on one of
these. Only this module imports Airflow's security.
"""

from __future__ import annotations

from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends

MAY_READ_DAG = Depends(requires_access_dag("GET"))
"""The caller may read the DAG ``dag_id`` of the path; else 401 or 403.

They are known by the browser's cookie, which comes along in a frame of Airflow's page too, or by a bearer token.
"""
