"""The pages that anybody may open without a login: those that mails to contacts link to.

Their tokens, which nobody can make up, stand for the login. Every other route asks for Airflow's.
"""

from __future__ import annotations

PUBLIC = frozenset({"/unsubscribe/{token}", "/survey/{token}"})
"""Paths of routes below ``/handoffs``."""
