"""What an Airflow connection says of the webhooks that its account sends."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

SECRETS, REQUIRE = "webhook_secrets", "webhook_require"
CONN_ID = re.compile(r"[\w#!()\-.:/\\]{1,250}", re.ASCII)
"""What Airflow allows as the id of a connection."""


@dataclass(frozen=True, slots=True)
class WebhookAccount:
    """An account whose system may push here.

    :param conn_type: connection type. :param extra: the connection's extra fields.
    :param secrets: with any of them a sender proves itself; several while one is being replaced by another.
    :param required: in which places each push must give one, see :data:`web.receiver.keyring.PLACES`; none: in any.
    """

    conn_id: str
    conn_type: str
    extra: Mapping[str, Any] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    required: frozenset[str] = frozenset()

    @classmethod
    async def find(cls, conn_id: str) -> Self | None:
        """Return the account of a connection, ``None`` when there is none with this id."""
        if not CONN_ID.fullmatch(conn_id):
            return None
        try:
            connection = await BaseHook.aget_connection(conn_id)
        except AirflowNotFoundException:
            return None
        return cls.from_values(conn_id, connection.conn_type or "", connection.extra)

    @classmethod
    def from_values(cls, conn_id: str, conn_type: str, extra: str | None) -> Self:
        """Read a connection; extra fields that are no JSON object count as none.

        They are decoded here because ``extra_dejson`` may not be used in async tasks.
        """
        try:
            fields = json.loads(extra or "{}")
        except ValueError:
            fields = {}
        fields = fields if isinstance(fields, dict) else {}
        required = frozenset(word.lower() for word in _words(fields.get(REQUIRE)))
        return cls(conn_id, conn_type, fields, tuple(dict.fromkeys(_words(fields.get(SECRETS)))), required)


def _words(given: object) -> list[str]:
    return str(given or "").replace(",", " ").split()
