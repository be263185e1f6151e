"""Contacts as XML. That ``/contact`` speaks XML is known; its elements are ASSUMED to be the fields' names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from aiohttp import web

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SCHEMA = "http://www.w3.org/2001/XMLSchema-instance"


def xml_answer(name: str, rows: Iterable[Mapping[str, Any]]) -> web.Response:
    """Return rows as ``<ArrayOfName><Name>...</Name></ArrayOfName>``; what is not known is nil."""
    items = "".join(f"<{name}>{_fields(row)}</{name}>" for row in rows)
    text = f'<?xml version="1.0" encoding="utf-8"?><ArrayOf{name} xmlns:i="{_SCHEMA}">{items}</ArrayOf{name}>'
    return web.Response(text=text, content_type="application/xml", charset="utf-8")


def _fields(row: Mapping[str, Any]) -> str:
    return "".join(_element(name, value) for name, value in row.items())


def _element(name: str, value: Any) -> str:
    if value is None:
        return f'<{name} i:nil="true"/>'
    text = str(value).lower() if isinstance(value, bool) else _NOT_XML.sub("", str(value))
    return f"<{name}>{escape(text, quote=False)}</{name}>"
