"""What an Airflow connection says of a vendor account, checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from handoff.errors import WrongCredentials
from handoff.ledger.quotas import Limits, Quota

READING = "read the connection"
DEFAULT_TIMEOUT = 10.0
SETTLING_SECONDS = 2.0
"""Our own choice: no vendor says how soon an effect can be read."""


class ConnectionValues(Protocol):
    """The part of ``airflow.sdk.Connection`` that is used here."""

    host: str | None
    schema: str | None
    port: int | None
    login: str | None
    password: str | None
    extra: str | None


@dataclass(frozen=True, slots=True)
class Account:
    """One vendor account.

    :param conn_id: Airflow connection id. :param base_url: without a slash at its end.
    :param extra: the connection's extra fields; read with :meth:`text` and :meth:`number`.
    :param rate: requests a second of an account whose connection names none, ``None`` where they need not be spaced.
    :param polling: share of a day's requests for polling; 0 for an account that is only written to.
    """

    conn_id: str
    base_url: str
    login: str
    password: str = field(repr=False)
    extra: Mapping[str, Any] = field(repr=False)
    rate: float | None = None
    polling: float = 0.0

    @classmethod
    def from_connection(
        cls,
        conn_id: str,
        connection: ConnectionValues,
        default_host: str = "",
        *,
        rate: float | None = None,
        polling: float = 0.0,
    ) -> Account:
        """Read a connection.

        :param default_host: base URL of an account whose connection names no host.
        :param rate: see :class:`Account`, like ``polling``.
        :raises WrongCredentials: host or extra cannot be used.
        """
        extra = extra_of(conn_id, connection)
        base_url = _base_url(conn_id, connection, default_host)
        login, password = (connection.login or "").strip(), (connection.password or "").strip()
        return cls(conn_id, base_url, login, password, extra, rate, polling)

    def below(self, path: str) -> Account:
        """Return the account with the path of its API at the end of the base URL, where it is not there yet."""
        return self if self.base_url.endswith(path) else replace(self, base_url=self.base_url + path)

    def text(self, name: str, default: str = "") -> str:
        """Return an extra field as text; empty means the default."""
        return str(self.extra.get(name) or default).strip()

    def number(self, name: str, default: float, least: float = 0.0) -> float:
        """Return an extra field as a number; empty means the default.

        :raises WrongCredentials: it is not a number, or smaller than ``least``.
        """
        given = self.extra.get(name)
        if given is None or given == "":
            return default
        try:
            value = float(given)
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value) or value < least:
            raise WrongCredentials(self.conn_id, READING, f"extra field {name!r} must be a number from {least:g}")
        return value

    @property
    def timeout(self) -> float:
        """Seconds for a whole answer. :raises WrongCredentials: it is no number from 0.1."""
        return self.number("timeout", DEFAULT_TIMEOUT, 0.1)

    @property
    def settling_seconds(self) -> float:
        """How long an effect may take until it can be read. :raises WrongCredentials: it is no number."""
        return self.number("settling_seconds", SETTLING_SECONDS)

    @property
    def limits(self) -> Limits:
        """What the connection allows over all workers. :raises WrongCredentials: something is no number."""
        rate = self.number("requests_per_second", self.rate, 0.01) if self.rate else None
        per_day = int(self.number("requests_per_day", 0, 1))
        return Limits(rate, Quota(per_day, polling=self.polling) if per_day else None)


def extra_of(conn_id: str, connection: ConnectionValues) -> dict[str, Any]:
    """Return a connection's extra fields; ``Connection.extra_dejson`` may not be used in async tasks.

    :raises WrongCredentials: they are not a JSON object.
    """
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise WrongCredentials(conn_id, READING, "the extra fields are not a JSON object")
    return extra


def is_key(text: str) -> bool:
    """Whether a text can be a key: there is one, and it can be sent in a header."""
    return bool(text) and text.isascii() and text.isprintable()


def _base_url(conn_id: str, connection: ConnectionValues, default_host: str) -> str:
    """Return the base URL; ``schema`` counts only where the host names none, ``port`` where it has none."""
    host = (connection.host or "").strip() or default_host
    if "://" not in host:
        host = f"{connection.schema or 'https'}://{host}"
    try:
        parts = urlsplit(host)
        port = parts.port or connection.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.query:
        raise WrongCredentials(conn_id, READING, "the host must be an address like https://api.example.com")
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{name}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
