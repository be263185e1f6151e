"""What the stand-ins see of an HTTP request and how they answer, free of sockets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiMapping

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_KEY_PART = re.compile(r"\[([^\]]*)\]")


class Refusal(Exception):  # noqa: N818
    """A request was not accepted; ``response`` says so in the vendor's own shape."""

    def __init__(self, response: web.Response) -> None:
        self.response = response
        super().__init__(f"refused with status {response.status}")


class UnreadableBody(Exception):  # noqa: N818
    """The request's body is not what its Content-Type says."""


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return ``value`` as a JSON response."""
    return web.Response(
        body=_encode(value).encode(), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


@dataclass(frozen=True)
class Call:
    """One request, completely read.

    :param path: without the vendor's prefix and without ``.json``.
    :param params: the path's variable parts by name.
    """

    method: str
    path: str
    params: Mapping[str, str]
    query: MultiMapping[str]
    headers: Mapping[str, str]
    raw: bytes

    @cached_property
    def body(self) -> dict[str, Any]:
        """Return the body as a dict, whether it came as JSON, form or multipart.

        :raises UnreadableBody: when it cannot be read as such.
        """
        if not self.raw:
            return {}
        kind = self.headers.get("Content-Type", "")
        if "json" in kind:
            return _json_object(self.raw)
        pairs = _multipart(kind, self.raw) if kind.startswith("multipart/form-data") else _urlencoded(self.raw)
        return nest(pairs)

    @cached_property
    def cookies(self) -> dict[str, str]:
        """Return the cookies by name."""
        pairs = (item.strip().partition("=") for item in self.headers.get("Cookie", "").split(";"))
        return {name: value for name, _, value in pairs if name}


Operation = Callable[[Call], web.Response]


@dataclass(frozen=True)
class Route:
    """One call that a vendor offers.

    :param path: below the vendor's prefix, with ``{name}`` for variable parts.
    :param changes: whether it may change state; what only reads is left alone by most faults.
    """

    method: str
    path: str
    operation: Operation
    changes: bool


class Vendor(Protocol):
    """A stand-in that speaks HTTP.

    :param suffixes: what may follow each path, e.g. ``("", ".json")``.
    """

    system: str
    prefix: str
    suffixes: tuple[str, ...]

    def routes(self) -> Iterable[Route]:
        """Return all calls that the vendor offers."""
        ...

    def trouble(self, status: int, words: str) -> web.Response:
        """Return an error that is not about the request's content, in the vendor's shape."""
        ...


def nest(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Turn PHP-style names into nested values: ``fields[a]=1``, ``ids[]=1&ids[]=2``, ``ids[0]=1``."""
    result: dict[str, Any] = {}
    for name, value in pairs:
        head, bracket, _ = name.partition("[")
        parts = [head, *_KEY_PART.findall(name)] if bracket else [head]
        node = result
        for part in parts[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise UnreadableBody(f"{head} is given both as a value and as a group")
        node[parts[-1] or str(len(node))] = value
    return {name: _as_list(value) for name, value in result.items()}


def _as_list(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_as_list(item) for item in value.values()]
    return {key: _as_list(item) for key, item in value.items()}


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise UnreadableBody("the body is not JSON") from error
    if not isinstance(value, dict):
        raise UnreadableBody("the body is not a JSON object")
    return value


def _urlencoded(raw: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(raw.decode(), keep_blank_values=True)
    except UnicodeDecodeError as error:
        raise UnreadableBody("the body is not UTF-8") from error


def _multipart(kind: str, raw: bytes) -> list[tuple[str, str]]:
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + raw)
    pairs = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            pairs.append((name, payload.decode(errors="replace")))
    return pairs
