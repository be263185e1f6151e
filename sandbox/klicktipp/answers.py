"""KlickTipp's answers: arrays of strings, error codes, the contact object with nothing but strings."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from sandbox.clock import german_second
from sandbox.exchange import Refusal, json_answer
from sandbox.klicktipp.account import Contact
from sandbox.klicktipp.fields import STANDARD_FIELDS

EMAIL_INVALID, NO_SUCH_EMAIL, FIELD_INVALID, NOT_SUBSCRIBED, UPDATE_FAILED = 5, 7, 8, 9, 10
PHONE_INVALID, ADDRESS_REQUIRED, KEY_INVALID, NO_SUCH_LIST, NO_SUCH_TAG = 11, 32, 100, 402, 403
EMAIL_BLOCKED = 30
ACCESS_DENIED = "API Zugriff verweigert."
NO_TAG = "Kein Tag mit dieser ID."
NO_OPT_IN = "Kein Opt-In-Prozess mit dieser ID."
NO_CONTACT = "Diesen Kontakt gibt es nicht."
FROM_API = "0.0.0.0 - By API Request"


def done() -> web.Response:
    """Return ``[true]``."""
    return json_answer([True])


def refusal(status: int, words: str) -> Refusal:
    """Return an error in words: an array with one string."""
    return Refusal(json_answer([words], status))


def error_code(error: int, **more: object) -> Refusal:
    """Return a 406 with KlickTipp's numeric error."""
    return Refusal(json_answer({"error": error, **more}, 406))


def missing(argument: str) -> Refusal:
    """Return the answer to a missing body argument: a 401 that is not even JSON, as recorded."""
    text = f"[Missing required argument {argument}]"
    return Refusal(web.Response(text=text, status=401, content_type="application/json"))


def contact_object(contact: Contact) -> dict[str, Any]:
    """Return a contact as KlickTipp shows it."""
    tags = {str(tag_id): str(moment) for tag_id, moment in contact.tags.items()}
    confirmed, gone = contact.confirmed, contact.unsubscribed
    return {
        "id": str(contact.id),
        "listid": str(contact.opt_in_id),
        "optin": german_second(contact.opted_in),
        "optin_ip": FROM_API,
        "email": contact.email,
        "status": contact.status,
        "bounce": "Not Bounced",
        "date": german_second(confirmed) if confirmed else "",
        "ip": FROM_API if confirmed else "",
        "unsubscription": german_second(gone) if gone else "",
        "unsubscription_ip": FROM_API if gone else "",
        "referrer": "",
        "sms_phone": contact.phone,
        "sms_status": "Subscribed" if contact.phone else None,
        "sms_bounce": "Not Bounced" if contact.phone else None,
        "sms_date": "",
        "sms_unsubscription": "",
        "sms_referrer": "",
        **{name: contact.fields.get(name, "") for name in STANDARD_FIELDS},
        **contact.fields,
        "tags": list(tags),
        "manual_tags": tags,
        "smart_tags": {},
        **{name: {} for name in _SEND_STATISTICS},
    }


_SEND_STATISTICS = (
    "emails_sent", "emails_opened", "emails_clicked", "notification_emails_sent", "notification_emails_opened",
    "notification_emails_clicked", "campaigns_started", "campaigns_finished",
)  # fmt: skip
