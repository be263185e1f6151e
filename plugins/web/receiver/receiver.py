"""The receiver: from a request to a committed delivery, or a refusal."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from handoff.ledger.deliveries import NewDelivery
from web.adapters.adapter import Arrival, Push
from web.ledger import opened_ledger
from web.receiver.accounts import Accounts, Known
from web.receiver.body import Hold, media_type, read_body
from web.receiver.flood import Floods
from web.receiver.journal import RETRY_SECONDS, Journal
from web.receiver.keyring import Keyring, Proof
from web.receiver.proof import proof_of
from web.receiver.recorder import Recorder
from web.receiver.refusal import HEADERS, Refusal
from web.receiver.room import Room
from web.receiver.tally import Tally

REFUSAL_SECONDS = 0.1
"""Who is not known is answered so long after the whole request arrived: how long a look-up took does not show."""
MOST_BYTES_TO_NAME_IT = 32 * 1024
"""Of a body that names its secret; eTermin's pushes, some sixty fields, are far smaller."""


class Receiver:
    """Takes pushes for one process.

    :param ledger: opens the ledger, or returns it opened.
    """

    def __init__(
        self,
        ledger: Callable[[], Awaitable[AsyncEngine]] = opened_ledger,
        accounts: Accounts | None = None,
        floods: Floods | None = None,
        room: Room | None = None,
    ) -> None:
        self._accounts, self._floods, self._room = accounts or Accounts(), floods or Floods(), room or Room()
        self._journal, self._tally, self._recorder = Journal(ledger), Tally(ledger), Recorder(ledger)
        self._nobody = Keyring()

    async def receive(self, request: Request, conn_id: str, secret: str = "") -> PlainTextResponse:
        """Answer a push: ``ok`` once it is committed, or why it is not taken.

        The body comes first, and who sends it after: nothing can be told from when a body is asked for.
        """
        with self._room.for_one() as hold:
            return await self._receive(request, conn_id, secret, hold)

    async def _receive(self, request: Request, conn_id: str, secret: str, hold: Hold) -> PlainTextResponse:
        trouble, body = None, b""
        try:
            body = await read_body(request, hold)
        except Refusal as refusal:
            trouble = refusal
        began, known, authentic = time.monotonic(), None, False
        try:
            known = await self._look_up(conn_id)
            if trouble is not None:
                raise trouble
            proof = proof_of(request, secret, _named(known, request, body))
            by = self._authenticate(known, proof, body)
            authentic = True
            await self._take(by, request, body)
        except Refusal as refusal:
            if known is not None:
                self._tally.count(conn_id, refusal.reason)
            if not authentic:
                await asyncio.sleep(began + REFUSAL_SECONDS - time.monotonic())
            return refusal.response()
        return PlainTextResponse("ok", headers=HEADERS)

    async def _look_up(self, conn_id: str) -> Known | None:
        try:
            return await self._accounts.of(conn_id)
        except Exception:
            raise Refusal("unavailable", retry_after=RETRY_SECONDS) from None

    def _authenticate(self, known: Known | None, proof: Proof, body: bytes) -> tuple[Known, bytes]:
        """Return the account and, when its sender signs, the id of the push; else empty.

        :raises Refusal: the same whatever is wrong.
        """
        keyring = self._nobody if known is None else known.keyring
        by = keyring.proven(proof, body)
        if (known is None or by is None) and self._accounts.crowded:
            # Of all: who is refused otherwise then is known here.
            raise Refusal("unavailable", retry_after=RETRY_SECONDS)
        if known is None or by is None:
            raise Refusal("unauthenticated" if keyring.usable else "no_secret")
        return known, proof.signature.id if by == "signature" and proof.signature else b""

    async def _take(self, by: tuple[Known, bytes], request: Request, body: bytes) -> None:
        """Store a push.

        :raises Refusal: too many, of a wrong type, not understood, or it cannot be stored now, e.g. because nobody
            can tell whether the account is still there.
        """
        known, push_id = by
        if known.lost_at is not None:
            raise Refusal("unavailable", retry_after=RETRY_SECONDS)
        self._floods.take(known.account.conn_id)
        content_type = media_type(request)
        if content_type not in known.adapter.content_types:
            raise Refusal("wrong_type")
        arrival = known.adapter.read(Push(known.account, content_type, body))
        new = await self._journal.keep(_delivery(known, arrival, push_id, body))
        if new and arrival.occasions:
            self._recorder.wake()


def _named(known: Known | None, request: Request, body: bytes) -> tuple[bytes, ...]:
    """Return what a body names as its secret; who has proved nothing yet shall not have a large one parsed."""
    if known is None or len(body) > MOST_BYTES_TO_NAME_IT:
        return ()
    return known.adapter.secrets(request.headers.get("content-type", ""), body)


def _delivery(known: Known, arrival: Arrival, push_id: bytes, body: bytes) -> NewDelivery:
    if push_id:
        content = b"id " + push_id
    elif arrival.identity:
        content = b"identity " + arrival.identity.encode("utf-8", "replace")
    else:
        content = b"body " + body
    return NewDelivery(
        source=known.adapter.source,
        account=known.account.conn_id,
        content_hash=hashlib.sha256(content).hexdigest(),
        payload=arrival.kept,
        received_at=datetime.now(UTC),
        occasions=arrival.occasions,
        contact_key=arrival.contact_key,
        poke=arrival.poke,
    )
