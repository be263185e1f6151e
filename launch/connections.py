"""The Airflow connections that point at the sandbox."""

from __future__ import annotations

import json
from typing import Any

from launch.settings import ETERMIN_WEBHOOK, HOST, INSIGHTLY_WEBHOOK, Settings, kept_secrets
from sandbox import credentials

ETERMIN = "etermin_default"
SENDER = "Webinar-Team <webinar@example.org>"
QUENTN_STATUSES = {"unknown": 1, "single": 4, "double": 5, "temporary": 6}
"""The numbers of ``mail_status`` in the sandbox."""
DESCRIPTION = "Set by make run to its sandbox; the next make run sets it again."


def insightly_webhook(settings: Settings) -> dict[str, str]:
    """Return how the sandbox's Insightly account tells Airflow that something changed, in words of the scenario file.

    The secret is no part of the URL, which Airflow logs.
    """
    secret = kept_secrets(settings.run)[INSIGHTLY_WEBHOOK]
    url = _receiver(settings, "insightly_default")
    return {"webhook_url": url, "webhook_user": "insightly", "webhook_password": secret}


def etermin_push(settings: Settings) -> dict[str, str]:
    """Return how the sandbox's eTermin account pushes to Airflow, in words of the scenario file; see above."""
    secret = kept_secrets(settings.run)[ETERMIN_WEBHOOK]
    return {"url": _receiver(settings, ETERMIN), "header": "X-Webhook-Secret", "header_value": secret}


def push_url(settings: Settings) -> str:
    """Return an address that takes pushes of the eTermin account from everybody who knows it."""
    return f"{_receiver(settings, ETERMIN)}/{kept_secrets(settings.run)[ETERMIN_WEBHOOK]}"


def _receiver(settings: Settings, conn_id: str) -> str:
    return f"http://{HOST}:{settings.ui_port}/handoffs/webhooks/{conn_id}"


def connections(settings: Settings, socket_folder: str) -> list[dict[str, Any]]:
    """Return one connection each for the sources, the targets and the ledger.

    :param socket_folder: where the embedded PostgreSQL listens.
    """
    sandbox = f"http://{HOST}:{settings.sandbox_port}"
    return [
        _connection(
            "webinaris_default", "webinaris", {"timeout": 5},
            host=f"{sandbox}/webinaris", password=credentials.WEBINARIS_APIKEY,
        ),
        _connection(
            "klicktipp_default", "klicktipp", {"timeout": 5, "requests_per_second": 10000, "settling_seconds": 1},
            host=f"{sandbox}/klicktipp",
            login=credentials.KLICKTIPP_USERNAME, password=credentials.KLICKTIPP_PASSWORD,
        ),
        _connection(
            "activecampaign_default", "activecampaign",
            {"timeout": 5, "requests_per_second": 5, "settling_seconds": 1},
            host=f"{sandbox}/activecampaign", password=credentials.ACTIVECAMPAIGN_TOKEN,
        ),
        _connection(
            "insightly_default", "insightly",
            {"timeout": 5, "requests_per_second": 10, "poll_minutes": 1, "settling_seconds": 1,
             "webhook_secrets": kept_secrets(settings.run)[INSIGHTLY_WEBHOOK]},
            host=f"{sandbox}/insightly", password=credentials.INSIGHTLY_KEY,
        ),
        _connection(
            "callexa_default", "callexa", {"timeout": 5, "poll_minutes": 1, "settling_seconds": 1},
            host=f"{sandbox}/callexa", login=credentials.CALLEXA_LOGIN, password=credentials.CALLEXA_APIKEY,
        ),
        _connection(
            ETERMIN, "etermin",
            {"timeout": 5, "timezone": "W. Europe Standard Time", "poll_minutes": 1,
             "webhook_secrets": kept_secrets(settings.run)[ETERMIN_WEBHOOK]},
            host=f"{sandbox}/etermin",
            login=credentials.ETERMIN_PUBLICKEY, password=credentials.ETERMIN_PRIVATEKEY,
        ),
        _connection(
            "quentn_default", "quentn",
            {"timeout": 5, "settling_seconds": 1,
             **{f"mail_status_{name}": number for name, number in QUENTN_STATUSES.items()}},
            host=f"{sandbox}/quentn", password=credentials.QUENTN_APIKEY,
        ),
        _connection(
            "smtp_default", "smtp",
            {"from_email": SENDER, "disable_tls": True, "disable_ssl": True, "timeout": 5, "retry_limit": 1},
            host=HOST, port=settings.smtp_port,
            login=credentials.SMTP_USER, password=credentials.SMTP_PASSWORD,
        ),
        _connection(
            "handoff_ledger", "handoff_ledger", {"options": f"host={socket_folder}"},
            schema="handoffs", login="postgres",
        ),
    ]  # fmt: skip


def _connection(conn_id: str, conn_type: str, extra: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {
        "conn_id": conn_id, "conn_type": conn_type, "description": DESCRIPTION, "extra": json.dumps(extra), **values,
    }  # fmt: skip
