"""What the tests of the webhook receiver share: its secrets, what is sent, and an account whose pushes are planned."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from typing import Any

from httpx import Response

from handoff.contact import Contact
from handoff.occasion import Occasion
from web.adapters.adapter import Arrival, Push
from web.receiver.body import json_of

OLD, NEW = "old-secret-0123456", "new-secret-0123456"
KEY = b"k" * 24
SIGNING = "whsec_" + base64.b64encode(KEY).decode()
JSON = {"content-type": "application/json"}
GOOD = JSON | {"x-webhook-secret": OLD}
STORED = "SELECT account, payload FROM handoff.deliveries ORDER BY id"
COUNTS = "SELECT account, outcome, count FROM handoff.webhook_counts ORDER BY account, outcome"


def said(answer: Response) -> tuple[int, str]:
    """Return what the sender is told."""
    return answer.status_code, answer.text


def appointment(key: str, start: datetime, changed: float = 1.0, **more: Any) -> bytes:
    """Return what the account ``calendar`` pushes."""
    return json.dumps({"key": key, "start": start.isoformat(), "changed": changed, **more}).encode()


class AppointmentAdapter:
    """Pushes that the planner records: an appointment with its times, and whose it is."""

    source = "webinaris"
    content_types = frozenset({"application/json"})

    def secrets(self, content_type: str, body: bytes) -> tuple[bytes, ...]:
        """Return nothing."""
        return ()

    def read(self, push: Push) -> Arrival:
        """Return the appointment."""
        given = json_of(push.body)
        start = datetime.fromisoformat(given["start"])
        anchors = {"start": start, "end": start + timedelta(hours=1)}
        facts = given.get("facts", {})
        occasion = Occasion(
            self.source, push.account.conn_id, given["key"], "Termin", anchors, changed=given["changed"], facts=facts
        )
        key = Contact(given["email"]).key if "email" in given else None
        return Arrival(given, occasions=(occasion,), contact_key=key)
