"""Running the command ``handoff`` in a test that has a loop of its own."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NamedTuple

from handoff.cli import main


class Said(NamedTuple):
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The printed JSON."""
        return json.loads(self.out)


async def handoff(ledger_url: str, *words: object) -> Said:
    """Run ``handoff`` on a ledger."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = await asyncio.to_thread(main, [*map(str, words), "--url", ledger_url])
    return Said(status, out.getvalue(), err.getvalue())
