"""Runs everything on one machine: embedded PostgreSQL, the sandbox, Airflow, and the main job (``make run``)."""
