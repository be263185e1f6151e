"""Unsubscribing (Abmelden), by a button or by a mail program's one click (RFC 8058).

Following the link changes nothing: mail scanners follow every link. Only a POST does, from anybody who has
the link: mail programs send neither cookies nor a login, and must not be redirected.
"""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger.keys import signing_key
from handoff.ledger.unsubscribing import unsubscribe
from handoff.texts.links import unsubscriber
from web.ledger import Ledger
from web.public_page import public_message, public_page
from web.receiver.body import read_into

router = APIRouter()
LONGEST_BODY = 4096
"""Bytes of a request that are looked at: a mail program sends ``List-Unsubscribe=One-Click``."""

_ASK = """<h1>Abmelden (unsubscribe)</h1>
<p>Möchten Sie von uns keine Umfragen und keine Werbung mehr per E-Mail erhalten?</p>
<p lang="en">Do you want no more surveys and no more advertising from us by e-mail?</p>
<form method="post"><button type="submit" name="by" value="page">Abmelden / Unsubscribe</button></form>"""


@router.api_route("/unsubscribe/{token}", methods=["GET", "HEAD"])
async def ask(token: str, ledger: Ledger) -> HTMLResponse:
    """Show the button; 404 for a link that was not made here."""
    async with ledger.begin() as connection:
        await _whose(connection, token)
    return public_page("de", "Abmelden (unsubscribe)", _ASK)


@router.post("/unsubscribe/{token}")
async def do(token: str, request: Request, ledger: Ledger) -> HTMLResponse:
    """Unsubscribe; again and again the same answer. 404 for a link that was not made here."""
    body = bytearray()
    # However that ends, they want to unsubscribe; what arrived tells by what.
    await read_into(body, request, LONGEST_BODY)
    source = "one-click" if b"One-Click" in body[:LONGEST_BODY] else "page"
    async with ledger.begin() as connection:
        contact_key, purpose = await _whose(connection, token)
        await unsubscribe(connection, contact_key, purpose, source)
    return public_message(
        "Sie sind abgemeldet (you are unsubscribed)",
        "Sie erhalten von uns keine Umfragen und keine Werbung mehr per E-Mail.",
        "You get no more surveys and no more advertising from us by e-mail.",
        status=200,
    )


async def _whose(connection: AsyncConnection, token: str) -> tuple[str, str]:
    """Return contact key and purpose of a link; whatever is wrong with it, the answer is the same page."""
    found = unsubscriber(await signing_key(connection), token)
    if found is None:
        raise HTTPException(404)
    return found
