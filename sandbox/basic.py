"""HTTP Basic credentials (RFC 7617) as a stand-in reads and writes them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping


def basic_header(user: str, password: str) -> str:
    """Return the value of the ``Authorization`` header."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def basic_credentials(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """Return user name and password, or ``None`` when the header is missing or no Basic one.

    Without a colon everything is the user name, and the password is empty.
    """
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    user, _, password = text.partition(":")
    return user, password
