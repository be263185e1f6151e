"""Confirming a consent (double opt-in, Einwilligung bestätigen): the page behind the link of a confirmation mail.

Nothing is recorded by a GET: mail scanners follow every link. Only the button's POST does, from anybody who has the
link, because it came to the address that is to be confirmed.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger import opt_ins
from handoff.ledger.keys import signing_key
from handoff.ledger.opt_ins import OptedIn
from handoff.planning.confirming import confirm
from handoff.rules.file import project_rules
from handoff.texts.links import opt_in_effect
from web.ledger import Ledger
from web.opt_in_page import opt_in_page

router = APIRouter()


@router.api_route("/opt-in/{token}", methods=["GET", "HEAD"])
async def show(token: str, ledger: Ledger) -> HTMLResponse:
    """Show what is agreed to and the button; record nothing."""
    async with ledger.begin() as connection:
        return opt_in_page(await _asked(connection, token))


@router.post("/opt-in/{token}")
async def do(token: str, request: Request, ledger: Ledger) -> HTMLResponse:
    """Record that the person agrees; again and again it stays the first time."""
    # Behind a proxy Airflow's own setting (--proxy-headers) decides whose word on the address counts.
    ip = request.client.host if request.client else ""
    agent = request.headers.get("user-agent", "")
    async with ledger.begin() as connection:
        await _asked(connection, token)
    rules = await asyncio.to_thread(project_rules)
    async with ledger.begin() as connection:
        asked = await _asked(connection, token)
        news = await confirm(connection, asked, rules, ip=ip, user_agent=agent)
        return opt_in_page(await _asked(connection, token), news=news)


async def _asked(connection: AsyncConnection, token: str) -> OptedIn:
    """Return what is asked; forged, unknown or erased: the answer is the same page."""
    effect_key = opt_in_effect(await signing_key(connection), token)
    asked = await opt_ins.by_effect_key(connection, effect_key) if effect_key else None
    if asked is None:
        raise HTTPException(404)
    return asked
