"""Airflow notifiers: what the team is told, and how."""
