"""Sends the pushes, and records how the receiver answered."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import aiohttp

from sandbox.clock import Clock
from sandbox.etermin.account import EterminAccount
from sandbox.etermin.outbox import Push
from sandbox.etermin.push import content
from sandbox.world import World

PAUSE = 0.05
PATIENCE = aiohttp.ClientTimeout(total=5)
LONGEST_ANSWER = 200


async def post_pushes(world: World) -> None:
    """Send the pushes of the world's eTermin account one after the other, as long as nobody cancels it."""
    async with aiohttp.ClientSession(timeout=PATIENCE) as session:
        while True:
            account = world.etermin
            account.catch_up()
            for push in account.outbox.due(Clock.now()):
                status, answer = await _send(session, account, push)
                if account is not world.etermin:
                    break
                _settle(account, replace(push, tries=push.tries + 1), status, answer)
            await asyncio.sleep(PAUSE)


def accepts(status: int, answer: str) -> bool:
    """Tell whether a receiver took a push: it must answer "200" or "ok"."""
    return status == 200 or answer.strip().lower() == "ok"


def _settle(account: EterminAccount, push: Push, status: int, answer: str) -> None:
    """Write the effect, and put back what was not taken."""
    model, accepted = account.outbox.model, accepts(status, answer)
    account.record(
        "push", push.appointment, command=push.command, form=model.form, number=push.number, copy=push.copy,
        tries=push.tries, status=status, answer=answer, accepted=accepted, dropped=False,
    )  # fmt: skip
    if not accepted and push.tries <= model.retries:
        account.outbox.again(push, Clock.now())


async def _send(session: aiohttp.ClientSession, account: EterminAccount, push: Push) -> tuple[int, str]:
    """Return status and beginning of the answer; 0 when there was none."""
    model = account.outbox.model
    body, headers = content(push, model, account.zone)
    try:
        async with session.post(model.url, data=body, headers=headers, allow_redirects=False) as response:
            return response.status, (await response.text(errors="replace"))[:LONGEST_ANSWER]
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return 0, ""
