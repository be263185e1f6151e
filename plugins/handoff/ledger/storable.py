"""Texts that PostgreSQL can store: it takes every character but NUL and halves of surrogate pairs."""

from __future__ import annotations

import json
from typing import Any


def storable(value: Any) -> Any:
    """Return plain JSON data without NUL characters in its texts; halves of characters become ``?``."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {storable(name): storable(item) for name, item in value.items()}
    return [storable(item) for item in value] if isinstance(value, list | tuple) else value


def storable_json(value: Any) -> str:
    """Return plain JSON data as a text for a ``jsonb`` parameter."""
    dumped = json.dumps(value, ensure_ascii=False)
    if "\\u0000" in dumped or not _whole(dumped):
        return json.dumps(storable(value), ensure_ascii=False)
    return dumped


def _whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
