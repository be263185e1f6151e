"""eTermin's Web Push: a booking is recorded at once, and every push is a doorbell for the poll.

What an appointment is like now, that it was changed and that it was deleted, is read from the account: a push may come
late, twice or in another order, and does not say when it was written.
"""

from __future__ import annotations

from typing import Any, get_args

from handoff.contact import Contact, UnusableAddress, normalise_email
from handoff.planning.appointments import Account, announced
from hooks.etermin import ETerminHook
from hooks.protocols.etermin_assumed import SECRET_HASH
from hooks.protocols.etermin_push import (
    CONTENT_TYPES,
    Kind,
    UnreadableBody,
    UnreadablePush,
    parse_push,
    secret_hash_of,
)
from hooks.protocols.etermin_times import ZONE, zone_of
from web.adapters.adapter import Arrival, Push
from web.receiver.body import refuse_deep, text_of
from web.receiver.refusal import Refusal

_TEXTS = (
    "calendarName", "servicesText", "selectedAnswers", "email", "firstName", "lastName", "phone", "bookingLanguage",
    "notes", SECRET_HASH,
)  # fmt: skip
_FLAGS = ("manualConfirmed", "newsletter")
_TIME = r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
_TIMES = ("startDateTime", "startDateTimeUTC", "endDateTime", "endDateTimeUTC", "bookingDate", "bookingDateUTC")
_FIELDS: dict[str, Any] = {
    "command": {"enum": [kind.upper() for kind in get_args(Kind)]},
    "appointmentUID": {"type": "string", "pattern": r"\S"},
    "calendarId": {"type": ["integer", "string"]},
    "sequence": {"type": "integer", "minimum": 0},
    **{name: {"type": ["boolean", "integer"]} for name in _FLAGS},
    **{name: {"type": "string"} for name in _TEXTS},
    **{name: {"type": "string", "pattern": _TIME} for name in _TIMES},
}


class ETerminAdapter:
    """eTermin (implements :class:`web.adapters.adapter.Adapter`)."""

    source = ETerminHook.conn_type
    content_types = CONTENT_TYPES
    schema = {"title": "eTermin", "type": "object", "required": ["command", "appointmentUID"], "properties": _FIELDS}

    def secrets(self, content_type: str, body: bytes) -> tuple[bytes, ...]:
        """Return the secret key hash that a push carries."""
        named = secret_hash_of(content_type, body)
        return (named.encode(),) if named else ()

    def read(self, push: Push) -> Arrival:
        """Return the booking, or that there is news; of the customer nothing is kept.

        :raises Refusal: it is no push of an appointment, or the connection names no zone that is known.
        """
        refuse_deep(text_of(push.body))
        zone = _zone(push)
        try:
            told = parse_push(push.content_type, push.body, zone)
        except UnreadableBody as error:
            raise Refusal("unreadable", str(error)) from None
        except UnreadablePush as error:
            raise Refusal("unexpected", str(error)) from None
        one = told.appointment
        booked = told.kind == "created" and one.start is not None
        return Arrival(
            kept={"command": told.kind, "appointment": one.id},
            identity=told.content_key,
            occasions=(announced(one, Account(ETerminHook.conn_type, push.account.conn_id, zone)),) if booked else (),
            poke=True,
            contact_key=_key(one.customer.email),
        )


def _zone(push: Push) -> str:
    try:
        return zone_of(str(push.account.extra.get("timezone") or ZONE))
    except ValueError:
        pass
    # As when the ledger cannot be written: it is this side that is wrong, and a repetition may find it right.
    raise Refusal("unavailable", "the account's time zone is not known here")


def _key(email: str) -> str | None:
    try:
        return Contact(normalise_email(email)).key
    except UnusableAddress:
        return None
