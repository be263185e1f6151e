"""Vendors that repeat everything they are told, and what they know of a person, in answers of every kind."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.loopback import serving

READS = {"/klicktipp/account/login", "/klicktipp/subscriber/search"}


@dataclass(frozen=True, slots=True)
class Answer:
    """How a hostile vendor answers what would change something; ``None`` as status breaks the connection off."""

    status: int | None
    form: str = "json"


class Parrot:
    """Stands before the sandbox: what only reads goes through, what changes something is answered so.

    :param known: what this vendor knows of the person, whether or not a request names it.
    :param lets: so many readings go through; the others are answered so too.
    """

    def __init__(self, behind: str, answer: Answer, known: str, lets: float = math.inf) -> None:
        self._behind, self._answer, self._known, self._lets = behind, answer, known, lets
        self.repeated = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        body = await request.read()
        if (request.method == "GET" or request.path in READS) and self._lets > 0:
            self._lets -= 1
            return await self._pass_on(request, body)
        self.repeated += 1
        if self._answer.status is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        said = f"{request.method} {request.path_qs} {dict(request.headers)} {body.decode()} {self._known}"
        headers = {"Retry-After": "60", "Location": f"/{self._known}"}
        text, kind = _document(said, self._answer.form)
        return web.Response(status=self._answer.status, text=text, content_type=kind, headers=headers)

    async def _pass_on(self, request: web.Request, body: bytes) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name not in {"Host", "Content-Length"}}
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, self._behind + request.path_qs, data=body, headers=headers) as reply,
        ):
            answer, kind = await reply.read(), reply.headers.get("Content-Type", "application/json")
            return web.Response(status=reply.status, body=answer, headers={"Content-Type": kind})


def _document(said: str, form: str) -> tuple[str, str]:
    if form == "json":
        errors = [{"title": said, "detail": said, "source": {"pointer": said}}]
        document: Any = {
            "error": 8, "field": said, "name": said, "reason": said, "message": said, "Message": said, "errors": errors,
        }  # fmt: skip
        return json.dumps(document), "application/json"
    if form == "list":
        return json.dumps([said]), "application/json"
    return (f"<html>{said}</html>", "text/html") if form == "html" else ('{"error": "' + said, "application/json")


@asynccontextmanager
async def parrot(behind: str, answer: Answer, known: str, lets: float = math.inf) -> AsyncIterator[tuple[Parrot, str]]:
    """Serve a parrot; give it and its address."""
    bird = Parrot(behind, answer, known, lets)
    async with serving(bird) as server:
        yield bird, server.url


class ParrotMailServer:
    """An SMTP server whose replies repeat the recipient, the person and the message."""

    def __init__(self, stage: str, code: str, known: str) -> None:
        self._stage, self._code, self._known = stage, code, known
        self.repeated = 0

    async def handle_RCPT(self, _: Any, __: Session, envelope: Envelope, address: str, ___: Any) -> str:
        """Refuse the recipient, or take it."""
        if self._stage == "recipient":
            return self._repeat(address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: Any, __: Session, envelope: Envelope) -> str:
        """Refuse the message, or take it."""
        return self._repeat(" ".join(envelope.rcpt_tos))

    def _repeat(self, address: str) -> str:
        self.repeated += 1
        return f"{self._code} <{address}>: {self._known}"

    def protocol(self) -> SMTP:
        """Return what speaks SMTP on one connection."""
        return SMTP(self, hostname="mail.test")
