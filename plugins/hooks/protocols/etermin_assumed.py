"""What is only assumed of eTermin, because it was found nowhere (etermin.md 2.2, 2.3 and 2.5).

- **Business errors.** ``Status`` and ``StatusMsg`` inside a 200 are known as names, their values are not. Assumed: what
  is empty or one of :data:`GOOD` is a success, anything else a refusal.
- **Wrong keys.** Status and body of a bad signature are not known. Assumed: 401 or 403, or a refusal whose words
  contain one of :data:`KEY_WORDS`.
- **The sync token's header.** Only "a response header" is known. Assumed: one whose name, without dashes and
  underscores, ends in ``synctoken``. Without it the next reading is a full one.
- **A token that is not known any more.** Assumed: refused like any other wrong parameter, then all is read again.
- **SyncStatus.** Its values are not known. Assumed: one that begins with one of :data:`DELETED` stands for a deletion.
  Nothing rests on it: deletions are read from ``/appointmentdeleted``, which is documented.
- **BlockedApp.** Assumed: time that is blocked, with no customer; it is no appointment.
- **ManualConfirmed.** Documented for booking (0: the provider must confirm); assumed to mean the same in a row.
- **Sequence.** Assumed to grow with every edit, as in iCalendar; only that it is another one counts.
- **SyncKey.** A field of the feed's rows; what it means is not known. Assumed: another one after every edit. Only what
  the feed lists since a token is compared by it, for in a full reading it might be another one without an edit.
- **TimeStamp.** Its form is not known; a deletion whose time cannot be read counts without it.
- **Newsletter.** Documented for booking and of contacts; assumed to stand in rows and pushes where it was ticked.
- **CreationDate, BookingDate, TimeStamp.** Assumed to be local times of the account, like all without ``UTC``.
- **Answers to changes.** Documented for bookings; a ``PUT`` or ``DELETE`` may be answered without a body.
- **Secret key hash.** That a push can carry one is documented, its field and algorithm are not. Assumed: field
  :data:`SECRET_HASH`, with what was entered in eTermin as it is.
- **No such appointment.** Assumed: an empty list, ``null``, or 404.
"""

from __future__ import annotations

from collections.abc import Mapping

from hooks.protocols.etermin_fields import Fields

GOOD = frozenset({"", "0", "1", "200", "ok", "true", "success", "none"})
KEY_WORDS = ("signature", "publickey", "public key", "api key", "unauthorized", "not authorized", "unauthorised")
SECRET_HASH = "secretKeyHash"  # noqa: S105 - the name of a field
DELETED = ("del", "remov", "cancel")
FIRST_TOKEN = "1"  # noqa: S105 - no secret: asks for everything (documented, 2.3)


def refusal(answer: Fields) -> str | None:
    """Return the words of a business error, ``None`` for a success."""
    status = answer.text("Status")
    if status.casefold() in GOOD:
        return None
    words = answer.text("StatusMsg") or answer.text("AdditionalInformation") or "without words"
    return f"status {status}: {words}"


def is_about_keys(words: str) -> bool:
    """Whether a refusal is about the keys or their signature."""
    return any(word in words.casefold() for word in KEY_WORDS)


def token_in(headers: Mapping[str, str]) -> str:
    """Return the sync token of an answer's headers (names in lower case), empty when there is none."""
    for name, value in headers.items():
        if name.replace("-", "").replace("_", "").endswith("synctoken"):
            return value.strip()
    return ""


def says_deleted(row: Fields) -> bool:
    """Whether a row of the feed stands for a deletion."""
    return row.text("SyncStatus").casefold().startswith(DELETED)


def is_blocked(row: Fields) -> bool:
    """Whether a row is blocked time and no appointment."""
    return row.flag("BlockedApp") is True
