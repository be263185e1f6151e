"""A KlickTipp account that answers every call after a fixed time, in a process of its own.

Only what a step with one call each needs: login, tags and ``POST /subscriber/tag``. Prints its port,
then, when its input ends, how often each address was handed over, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter

LENGTH = re.compile(rb"content-length: *(\d+)", re.I)


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


LOGIN = _answer(b'{"sessid":"s","session_name":"SSESS","account":{"uid":"1","username":"bench"}}')
TAGS, DONE = _answer(b'{"1":"bench"}'), _answer(b"[true]")


class Account(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    handed_over: Counter[str] = Counter()
    seconds = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport, self._buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer a request as soon as it is complete."""
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        wanted = int(length.group(1)) if length else 0
        if not separator or len(rest) < wanted:
            return
        self._buffer = rest[wanted:]
        asyncio.get_running_loop().call_later(self.seconds, self._reply, head, rest[:wanted])

    def _reply(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"POST /account/login"):
            answer = LOGIN
        elif head.startswith(b"GET"):
            answer = TAGS
        else:
            self.handed_over[json.loads(body)["email"]] += 1
            answer = DONE
        self._transport.write(answer)  # type: ignore[attr-defined]


async def main() -> None:
    """Serve until the input ends."""
    Account.seconds = float(sys.argv[1])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Account, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps(Account.handed_over), flush=True)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
