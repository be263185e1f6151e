"""The ledger's connection: its address, and the three outcomes of its Test button."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from airflow.sdk import Connection
from sqlalchemy import make_url

from handoff.errors import LedgerError
from handoff.ledger.connect import ledger_url as normalised
from handoff.ledger.connect import open_ledger
from handoff.ledger.revisions import newest
from hooks.ledger import LedgerHook, url_of


def connection(**values: Any) -> Connection:
    return Connection(conn_id="handoff_ledger", conn_type="handoff_ledger", **values)


def options(**values: str) -> str:
    return json.dumps({"options": urlencode(values)})


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({"host": "db", "schema": "ledger"}, "postgresql+psycopg://db:5432/ledger"),
        ({"host": "db", "port": 6432, "login": "me", "password": "p@:/?#", "schema": "ledger"},
         "postgresql+psycopg://me:p%40%3A%2F%3F%23@db:6432/ledger"),
        ({"schema": "ledger", "extra": options(host="/run/pg")}, "postgresql+psycopg:///ledger?host=%2Frun%2Fpg"),
        ({"host": "db", "schema": "l", "extra": options(host="/x", sslmode="require")},
         "postgresql+psycopg://db:5432/l?sslmode=require"),
        ({"host": "db", "schema": "l", "extra": json.dumps({"options": None})}, "postgresql+psycopg://db:5432/l"),
    ],
)  # fmt: skip
def test_the_address_of_a_connection(values: dict[str, Any], url: str) -> None:
    assert make_url(url_of(connection(**values))) == make_url(url)


def test_a_connection_without_a_database_says_what_is_missing() -> None:
    with pytest.raises(LedgerError, match=r"connection handoff_ledger: the database's name \(Schema\) is missing"):
        url_of(connection(host="db"))


@pytest.mark.parametrize("extra", ["no json", "[1]", '{"options": 7}'])
def test_extra_fields_that_cannot_be_used(extra: str) -> None:
    with pytest.raises(LedgerError, match="connection handoff_ledger: .*extra"):
        url_of(connection(host="db", schema="l", extra=extra))


@pytest.mark.parametrize("url", ["postgres://u:p@h/d", "postgresql://u:p@h/d", "postgresql+asyncpg://u:p@h/d"])
def test_one_driver_for_every_spelling(url: str) -> None:
    assert normalised(url) == "postgresql+psycopg://u:p@h/d"


@pytest.mark.parametrize(("url", "words"), [("sqlite:///x.db", "needs PostgreSQL, not sqlite"), ("nonsense", "no")])
def test_another_database_is_refused(url: str, words: str) -> None:
    with pytest.raises(LedgerError, match=words):
        normalised(url)


def outcome_of(monkeypatch: pytest.MonkeyPatch, **values: Any) -> tuple[bool, str]:
    stored = {"conn_type": "handoff_ledger", **values}
    monkeypatch.setenv("AIRFLOW_CONN_HANDOFF_LEDGER", json.dumps(stored))
    return LedgerHook().test_connection()


def test_it_works(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = make_url(ledger_url)
    extra = {"options": urlencode({"host": url.query["host"]})}
    found = outcome_of(monkeypatch, schema=url.database, login=url.username, extra=extra)
    assert found == (True, "The ledger works")


def test_it_works_but_has_no_tables(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = make_url(postgres)
    extra = {"options": urlencode({"host": url.query["host"]})}
    worked, words = outcome_of(monkeypatch, schema="template1", login=url.username, extra=extra)
    assert worked
    assert "its tables are still to be made" in words


@pytest.mark.parametrize(("version", "to_do"), [("0001", "handoff migrate"), ("9999", "bring this program up to date")])
def test_its_tables_are_of_another_version(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch, version: str, to_do: str
) -> None:
    url, engine = make_url(ledger_url), open_ledger(ledger_url)
    with engine.begin() as opened:
        opened.exec_driver_sql("UPDATE handoff.alembic_version SET version_num = %(version)s", {"version": version})
    engine.dispose()
    extra = {"options": urlencode({"host": url.query["host"]})}
    worked, words = outcome_of(monkeypatch, schema=url.database, login=url.username, extra=extra)
    assert not worked
    assert f"its tables are of version {version} and this program needs {newest()}: {to_do}" in words


@contextmanager
def refusing(code: str, words: str) -> Iterator[int]:
    """A server that speaks enough of PostgreSQL's protocol to turn a client away; yields its port."""
    fields = b"SFATAL\0VFATAL\0C" + code.encode() + b"\0M" + words.encode() + b"\0\0"
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                while client.recv(1024)[4:8] in {struct.pack("!I", 80877103), struct.pack("!I", 80877104)}:
                    client.sendall(b"N")
                client.sendall(b"E" + struct.pack("!I", len(fields) + 4) + fields)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("28P01", 'password authentication failed for user "me"'),
        ("28P01", "Passwort-Authentifizierung für Benutzer »me« fehlgeschlagen"),
        ("28000", 'no pg_hba.conf entry for host "127.0.0.1", user "me"'),
        ("28000", 'role "me" does not exist'),
    ],
)
def test_wrong_credentials(monkeypatch: pytest.MonkeyPatch, code: str, words: str) -> None:
    with refusing(code, words) as port:
        worked, found = outcome_of(monkeypatch, host="127.0.0.1", port=port, schema="l", login="me", password="geheim")
    assert not worked
    assert found.startswith("Wrong credentials: ")
    assert "geheim" not in found


def test_a_role_that_does_not_exist(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"options": urlencode({"host": make_url(postgres).query["host"]})}
    worked, found = outcome_of(monkeypatch, schema="postgres", login="nobody_here", extra=extra)
    assert (worked, found.startswith("Wrong credentials: ")) == (False, True)


def test_it_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    worked, found = outcome_of(monkeypatch, host="127.0.0.1", port=port, schema="l")
    assert (worked, found.startswith("Cannot connect: ")) == (False, True)


@pytest.mark.parametrize(("code", "words"), [("3D000", 'database "l" does not exist'), ("57P03", "starting up")])
def test_it_is_there_but_cannot_be_used(monkeypatch: pytest.MonkeyPatch, code: str, words: str) -> None:
    with refusing(code, words) as port:
        worked, found = outcome_of(monkeypatch, host="127.0.0.1", port=port, schema="l")
    assert not worked
    assert found.startswith("Cannot connect: ")
    assert words in found


def test_a_connection_that_is_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    worked, found = outcome_of(monkeypatch, host="db")
    assert not worked
    assert "Schema" in found


def test_errors_show_no_contact_data(ledger_url: str) -> None:
    engine = open_ledger(ledger_url)
    with engine.connect() as opened, pytest.raises(Exception, match="relation") as caught:
        opened.exec_driver_sql("SELECT * FROM nowhere WHERE email = %(email)s", {"email": "eva@example.org"})
    engine.dispose()
    assert "eva@example.org" not in str(caught.value)
