"""What this distribution tells Airflow about itself: connection types with their forms."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the provider metadata (entry point ``apache_airflow_provider``)."""
    return {
        "package-name": "airflow-handoffs",
        "name": "Handoffs",
        "description": "Delayed, ordered, explained handoffs between webinar, CRM and mail systems.",
        "connection-types": [],
    }
