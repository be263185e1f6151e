"""Somebody who pushes: plain HTTP over a few connections, as cheap as it can be, because it shares the machine."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
_NUMBERS = count(1)


@dataclass(slots=True)
class Outcome:
    """What became of pushes. :param seconds: of each that was told ``ok``."""

    accepted: int = 0
    refused: int = 0
    seconds: list[float] = field(default_factory=list)


def opportunity() -> dict[str, Any]:
    """Return what Insightly pushes of another opportunity: a doorbell."""
    return {
        "entity": {
            "OPPORTUNITY_ID": next(_NUMBERS), "OPPORTUNITY_STATE": "WON", "OPPORTUNITY_NAME": "Relaunch" * 20,
            "DATE_UPDATED_UTC": "/Date(1489116850787-0800)/",
        }
    }  # fmt: skip


def booking() -> dict[str, Any]:
    """Return what eTermin pushes of another appointment that was booked: the planner records it."""
    number = next(_NUMBERS)
    return {
        "command": "CREATED", "appointmentUID": f"bench-{number}", "calendarName": "Beratung", "lastName": "Muster",
        "startDateTimeUTC": "2036-05-10T08:00:00", "endDateTimeUTC": "2036-05-10T08:30:00",
        "startDateTime": "2036-05-10T10:00:00", "endDateTime": "2036-05-10T10:30:00",
        "bookingDateUTC": "2026-05-01T06:12:44", "firstName": "Eva", "email": f"person{number}@example.org",
        "selectedAnswers": "Erstgespräch", "notes": "Bitte klingeln. " * 10, "newsletter": True,
    }  # fmt: skip


def requests(accounts: list[str], secret: str, content: Callable[[], dict[str, Any]]) -> Iterator[bytes]:
    """Yield pushes, each with other content, to one account after the other."""
    while True:
        for account in accounts:
            body = json.dumps(content()).encode()
            head = (
                f"POST /handoffs/webhooks/{account} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                f"X-Webhook-Secret: {secret}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            yield head.encode() + body


class Line:
    """One connection; its pushes go one after the other."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def push(self, request: bytes) -> bool:
        """Send one push and tell whether it was told ``ok``."""
        # Servers close what was idle for some seconds.
        if self._streams is None or self._streams[0].at_eof():
            self.close()
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        found = LENGTH.search(head)
        body = await reader.readexactly(int(found[1]) if found else 0)
        return head.startswith(b"HTTP/1.1 200") and body == b"ok"

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()


async def as_fast_as_possible(port: int, pushes: Iterator[bytes], lines: int, seconds: float) -> Outcome:
    """Push over so many connections, each as soon as its last push is answered."""
    outcome, ends = Outcome(), time.monotonic() + seconds

    async def go_on() -> None:
        line = Line(port)
        while time.monotonic() < ends:
            await _timed(line, next(pushes), time.monotonic(), outcome)
        line.close()

    await asyncio.gather(*(go_on() for _ in range(lines)))
    return outcome


async def at_a_rate(port: int, pushes: Iterator[bytes], per_second: float, seconds: float) -> Outcome:
    """Push at fixed moments, whatever became of the pushes before; each is timed from its moment."""
    outcome, idle, began = Outcome(), list[Line](), time.monotonic()

    async def one(moment: float) -> None:
        line = idle.pop() if idle else Line(port)
        await _timed(line, next(pushes), moment, outcome)
        idle.append(line)

    async with asyncio.TaskGroup() as group:
        for number in range(int(per_second * seconds)):
            moment = began + number / per_second
            await asyncio.sleep(max(0.0, moment - time.monotonic()))
            group.create_task(one(moment))
    for line in idle:
        line.close()
    return outcome


async def _timed(line: Line, request: bytes, since: float, outcome: Outcome) -> None:
    if await line.push(request):
        outcome.accepted += 1
        outcome.seconds.append(time.monotonic() - since)
    else:
        outcome.refused += 1
