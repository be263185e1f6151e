"""An eTermin account on loopback that answers what a test tells it and notes what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from airflow.sdk import Connection

PUBLIC, PRIVATE = "pk-public", "sk-private-secret"
CONN_ID = "etermin_default"
NOW = datetime(2026, 5, 10, 7, tzinfo=UTC)
"""What the account's clock shows unless a test moves it."""


class ETerminAccount:
    """Answers are given per path, as ``(status, body)`` or ``(status, body, sync token)``: the next in turn, the last
    one again and again.

    :ivar asked: method, path, query and headers (names in lower case) of every request.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[Any, ...]]] = {}
        self.asked: list[tuple[str, str, dict[str, str], dict[str, str]]] = []
        self.now, self.url = NOW, ""

    def answer(self, path: str, *answers: tuple[Any, ...]) -> None:
        """Say what a path answers from now on."""
        self.answers[f"/api{path}"] = list(answers)

    def feed(self, *rows: dict[str, Any], token: str = "7") -> None:
        """Say what the feed answers from now on, and that nothing was deleted unless that was said."""
        self.answer("/appointmentsync", (200, list(rows), token))
        self.answers.setdefault("/api/appointmentdeleted", [(200, [])])

    def queries(self, path: str) -> list[dict[str, str]]:
        """Return what a path was asked, in order."""
        return [query for _, asked, query, _ in self.asked if asked == f"/api{path}"]

    def later(self, **more: float) -> None:
        """Move the account's clock."""
        self.now += timedelta(**more)

    def connection(self, **extra: Any) -> Connection:
        """Return the account's connection."""
        return Connection.from_json(self.values(**extra), conn_id=CONN_ID)

    def values(self, **extra: Any) -> str:
        """Return the connection as JSON, for an ``AIRFLOW_CONN_`` variable."""
        return json.dumps({
            "conn_type": "etermin", "host": self.url, "login": PUBLIC, "password": PRIVATE,
            "extra": {"timeout": 5, **extra},
        })  # fmt: skip

    def take(self, path: str) -> tuple[Any, ...]:
        """Return the next answer of a path."""
        answers = self.answers.get(path) or [(404, {"Message": "?"})]
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextmanager
def serving() -> Iterator[ETerminAccount]:
    """Serve an account until the block ends."""
    account = ETerminAccount()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(account.now, usegmt=True)

        def reply(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            account.asked.append((self.command, parts.path, dict(parse_qsl(parts.query)), headers))
            status, document, *token = account.take(parts.path)
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")
            if token:
                self.send_header("SyncToken", token[0])
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = reply  # noqa: N815 - the server asks for these names

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


def row(key: str = "uid-1", **more: Any) -> dict[str, Any]:
    """Return an appointment as the API shows it, tomorrow at ten in Berlin, booked an hour before :data:`NOW`."""
    return {
        "ID": 4711, "ExternalID": key, "CalendarID": 90709, "CalendarName": "Beratung",
        "StartDateTime": "2026-05-11T10:00:00", "EndDateTime": "2026-05-11T10:30:00",
        "StartDateTimeUTC": "2026-05-11T08:00:00", "EndDateTimeUTC": "2026-05-11T08:30:00",
        "CreationDate": "2026-05-10T08:00:00", "FirstName": "Eva", "LastName": "Muster",
        "Email": "eva@example.test", "Phone": "+41790000000", "Town": "Bern", "Notes": "Bitte klingeln",
        "ServicesText": "Erstgespräch", "BookingLanguage": "de", "ManualConfirmed": 1, "Sequence": 0, **more,
    }  # fmt: skip


def gone(key: str = "uid-1", **more: Any) -> dict[str, Any]:
    """Return a deletion as the API shows it, half an hour before :data:`NOW`."""
    names = ("CalendarName", "StartDateTime", "StartDateTimeUTC", "EndDateTime", "EndDateTimeUTC", "FirstName",
             "LastName", "Email", "Phone")  # fmt: skip
    kept = {name: value for name, value in row(key).items() if name in names}
    return {"AppID": 4711, "ExternalID": key, "Calendarid": 90709, "TimeStamp": "2026-05-10T08:30:00", **kept, **more}
