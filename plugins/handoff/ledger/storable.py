"""Texts that PostgreSQL can store: it takes every character but NUL."""

from __future__ import annotations

import json
from typing import Any


def storable(value: Any) -> Any:
    """Return plain JSON data without NUL characters in its texts."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {storable(name): storable(item) for name, item in value.items()}
    return [storable(item) for item in value] if isinstance(value, list | tuple) else value


def storable_json(value: Any) -> str:
    """Return plain JSON data as a text for a ``jsonb`` parameter."""
    dumped = json.dumps(value)
    return json.dumps(storable(value)) if "\\u0000" in dumped else dumped
