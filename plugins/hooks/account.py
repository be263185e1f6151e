"""What an Airflow connection says of a vendor account, checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from handoff.errors import WrongCredentials
from handoff.ledger.quotas import Quota

READING = "read the connection"


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
    """

    conn_id: str
    base_url: str
    login: str
    password: str = field(repr=False)
    extra: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_connection(cls, conn_id: str, connection: ConnectionValues, default_host: str = "") -> Account:
        """Read a connection.

        The extra fields are decoded here because ``Connection.extra_dejson`` may not be used in async tasks.

        :param default_host: base URL of an account whose connection names no host.
        :raises WrongCredentials: host or extra cannot be used.
        """
        try:
            extra = json.loads(connection.extra or "{}")
        except ValueError:
            extra = None
        if not isinstance(extra, dict):
            raise WrongCredentials(conn_id, READING, "the extra fields are not a JSON object")
        base_url = _base_url(conn_id, connection, default_host)
        return cls(conn_id, base_url, (connection.login or "").strip(), (connection.password or "").strip(), extra)

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

    def quota(self, polling: float = 0.0) -> Quota | None:
        """Return the day's requests that the connection allows, ``None`` when it names none.

        :param polling: share of them for polling; 0 for an account that is only written to.
        :raises WrongCredentials: ``requests_per_day`` is no number from 1.
        """
        per_day = int(self.number("requests_per_day", 0, 1))
        return Quota(per_day, polling=polling) if per_day else None


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
