"""A Webinaris account on loopback that answers what a test tells it and notes what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KEY = "0123456789abcdef0123456789abcdef"
CONN_ID = "webinaris_default"


class WebinarisAccount:
    """Answers are given per path, as ``(status, body)``: the next in turn, the last one again and again."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.url = ""

    def answer(self, path: str, *answers: tuple[int, Any]) -> None:
        self.answers[path] = list(answers)

    def dates(self, *dates: dict[str, Any], now: float = 0.0) -> None:
        self.answer("/api/assumed/dates", (200, {"now": now, "dates": list(dates)}))

    def queries(self, path: str) -> list[dict[str, str]]:
        return [query for _, asked, query, _ in self.asked if asked == path]

    def connection(self, **extra: Any) -> str:
        """The connection as JSON, for an ``AIRFLOW_CONN_`` variable."""
        return json.dumps({
            "conn_type": "webinaris",
            "host": self.url,
            "password": KEY,
            "extra": {"timeout": 2, **extra},
        })

    def take(self, path: str) -> tuple[int, Any]:
        answers = self.answers.get(path) or [(404, {"error": "no such path"})]
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextmanager
def serving() -> Iterator[WebinarisAccount]:
    """Serve an account until the block ends."""
    account = WebinarisAccount()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply(None)

        def do_POST(self) -> None:
            self.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def reply(self, body: Any) -> None:
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            account.asked.append((self.command, parts.path, query, body))
            status, answer = account.take(parts.path)
            content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    account.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield account
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def date(key: str = "d1", start: float = 1000.0, minutes: float = 60.0, **more: Any) -> dict[str, Any]:
    """A webinar date as the assumed surface lists it."""
    return {
        "id": key, "webinar_id": "7167W1", "title": "Mehr Termine", "start": "24.03.2026 19:00",
        "end": "24.03.2026 20:00", "start_unix": start, "end_unix": start + minutes * 60,
        "timezone": "Europe/Berlin", "status": "scheduled", "updated": 1.0, **more,
    }  # fmt: skip
