"""The ledger as pages reach it: opened once for the process, by the first request that needs it."""

from __future__ import annotations

import asyncio
from typing import Annotated
from weakref import WeakKeyDictionary

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncEngine

from hooks.ledger import LedgerHook

CONNECTIONS = 4

# Connections belong to the loop that opened them; a server has one loop.
_opened: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[AsyncEngine]] = WeakKeyDictionary()


async def opened_ledger() -> AsyncEngine:
    """Return the ledger of the connection ``handoff_ledger``; one that could not be opened is tried again.

    :raises LedgerError: when the connection names no database.
    """
    loop = asyncio.get_running_loop()
    if loop not in _opened:
        _opened[loop] = asyncio.ensure_future(LedgerHook.open(LedgerHook.default_conn_name, connections=CONNECTIONS))
    opening = _opened[loop]
    try:
        # Others may wait for the same, so a browser that goes away does not end it.
        return await asyncio.shield(opening)
    except Exception:
        if _opened.get(loop) is opening:
            del _opened[loop]
        raise


async def close_ledger() -> None:
    """Close the ledger if it was opened; it is opened again when it is needed."""
    opening = _opened.pop(asyncio.get_running_loop(), None)
    if opening is not None:
        await (await opening).dispose()


Ledger = Annotated[AsyncEngine, Depends(opened_ledger)]
"""The ledger, as a parameter of a route."""
