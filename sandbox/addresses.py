"""E-mail addresses as the stand-ins see them."""

from __future__ import annotations

import re
import unicodedata

_ADDRESS = re.compile(r"[^\s@<>(),;:\"\\]+@(?:[^\s@.\-_<>(),;:\"\\][^\s@.<>(),;:\"\\]*\.)+[^\s@.<>(),;:\"\\\d]{2,}")


def normal_address(text: str) -> str:
    """Return the one spelling by which vendors know a contact: trimmed, NFC, lower case."""
    return unicodedata.normalize("NFC", text.strip()).lower()


def is_address(text: str) -> bool:
    """Tell whether a vendor's form would accept the text as an address."""
    local = text.partition("@")[0]
    return _ADDRESS.fullmatch(text) is not None and ".." not in text and not local.startswith(".")
