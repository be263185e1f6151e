"""Whom a command about one person means."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.errors import HandoffError
from handoff.ledger import people
from handoff.ledger.people import KEY_DIGITS, key_of

HELP = "e-mail address, or contact key (8 digits or more of it)"


async def whole_key(connection: AsyncConnection, named: str) -> str:
    """Return the whole key of somebody named by address, key or beginning of a key.

    An address or a whole key need not be known to the ledger.

    :raises HandoffError: when it is none of these, or nobody's or several people's keys begin so.
    """
    key = key_of(named)
    if len(key) == KEY_DIGITS:
        return key
    person = await people.find(connection, named)
    if person is None:
        raise HandoffError("nobody's key begins with these digits; give the e-mail address or the whole key")
    return person.key
