"""What anybody may open without a login: pages that mails to contacts link to, and where other systems push to.

Of pages the token, which nobody can make up, stands for the login; of pushes the account's secret. Every other
route asks for Airflow's.
"""

from __future__ import annotations

PUBLIC = frozenset({
    "/unsubscribe/{token}",
    "/survey/{token}",
    "/opt-in/{token}",
    "/webhooks/{account}",
    "/webhooks/{account}/",
    "/webhooks/{account}/{secret}",
    "/webhooks/{account}/{secret}/",
})
"""Paths of routes below ``/handoffs``."""
