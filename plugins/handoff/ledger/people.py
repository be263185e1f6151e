"""Finding a person in the ledger, by address or by the contact's key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.contact import Contact, UnusableAddress, normalise_email
from handoff.errors import HandoffError, LedgerError

KEY_DIGITS, FEWEST_DIGITS = 32, 8


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody the ledger knows.

    :param contact_id: ``None`` when nothing but the key is left.
    :param erased_at: when the person's data was erased, ``None`` if it was not.
    """

    key: str
    contact_id: int | None
    email: str
    erased_at: datetime | None


FIND = text("""
    WITH known AS (
        SELECT key FROM handoff.contacts WHERE key BETWEEN :first AND :last
        UNION SELECT key FROM handoff.erased WHERE key BETWEEN :first AND :last
        ORDER BY key LIMIT 2
    )
    SELECT known.key, contact.id AS contact_id, COALESCE(contact.email, '') AS email, erased.at AS erased_at
    FROM known LEFT JOIN handoff.contacts AS contact USING (key) LEFT JOIN handoff.erased AS erased USING (key)
""")


def key_of(named: str) -> str:
    """Return a contact's key, or the beginning of one, from an e-mail address or such a key.

    :raises HandoffError: when it is neither an address nor at least 8 digits of a key.
    """
    email = address_of(named)
    if not email:
        if re.fullmatch(rf"[0-9a-f]{{{FEWEST_DIGITS},{KEY_DIGITS}}}", named.strip().lower()):
            return named.strip().lower()
        raise HandoffError(
            f"who? Give an e-mail address, or a contact key ({FEWEST_DIGITS} to {KEY_DIGITS} hex digits)"
        )
    return Contact(email=email).key


def address_of(named: str) -> str:
    """Return the normalised address when somebody is named by one, empty when by a key.

    :raises HandoffError: when it is no valid address.
    """
    if "@" not in named:
        return ""
    try:
        return normalise_email(named)
    except UnusableAddress as error:
        raise HandoffError("this is no valid e-mail address; give one, or a contact key") from error


async def find(connection: AsyncConnection, named: str) -> Person | None:
    """Return the person with this address, key or beginning of a key; ``None`` when nothing is known.

    :raises HandoffError: when ``named`` is neither; :raises LedgerError: when several keys begin so.
    """
    key = key_of(named)
    interval = {"first": key.ljust(KEY_DIGITS, "0"), "last": key.ljust(KEY_DIGITS, "f")}
    found = (await connection.execute(FIND, interval)).all()
    if len(found) > 1:
        raise LedgerError("several contacts' keys begin with these digits; give more of them")
    return Person(*found[0]) if found else None
