"""The stand-in for Quentn's API V1: which call is which (contract: quentn.md 4.1 to 4.4)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator

from aiohttp import web

from sandbox.exchange import Call, Operation, Refusal, Route
from sandbox.quentn import catalogue, contacts, terms
from sandbox.quentn.account import QuentnAccount
from sandbox.quentn.answers import refusal, success, trouble
from sandbox.world import World

AccountOperation = Callable[[QuentnAccount, Call], web.Response]


class Quentn:
    """All calls of Quentn over the account of one world, below ``V1`` as it is documented."""

    system = "quentn"
    prefix = "/quentn/public/api/V1"
    suffixes: tuple[str, ...] = ("",)

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> Iterator[Route]:
        """Return all calls."""
        for method, path, operation in self._calls():
            yield Route(method, path, self._guarded(operation), method != "GET")

    def trouble(self, status: int, words: str) -> web.Response:
        """Return an error with its message."""
        return trouble(status, words)

    @staticmethod
    def _calls() -> Iterator[tuple[str, str, AccountOperation]]:
        yield "GET", "/check-credentials", lambda _account, _call: success()
        yield "GET", "/contact/{id}", contacts.single
        yield "POST", "/contact", contacts.create
        yield "POST", "/contacts", contacts.create_many
        yield "PUT", "/contact/{id}", contacts.update
        yield "DELETE", "/contact/{id}", contacts.delete
        yield "GET", "/contact/{id}/terms", terms.of_contact
        yield "PUT", "/contact/{id}/terms", terms.add
        yield "POST", "/contact/{id}/terms", terms.overwrite
        yield "DELETE", "/contact/{id}/terms", terms.remove
        yield "GET", "/contact/{id}/comments", contacts.comments
        yield "POST", "/contact/{id}/comments", contacts.add_comment
        yield "PUT", "/contact/{id}/comments", contacts.change_comment
        yield "GET", "/terms", terms.listing
        yield "GET", "/terms/{id}", terms.single
        yield "POST", "/terms", terms.create
        yield "PUT", "/terms/{id}", terms.update
        yield "DELETE", "/terms/{id}", terms.delete
        yield "GET", "/custom-fields", catalogue.fields
        yield "POST", "/custom-fields", catalogue.create_field
        yield "PUT", "/custom-fields/{id}", catalogue.update_field
        yield "DELETE", "/custom-fields/{id}", catalogue.delete_field
        yield "POST", "/cb/{id}", catalogue.start_campaign

    def _guarded(self, operation: AccountOperation) -> Operation:
        """Let only calls with the key pass, as many as the limit allows, and tell what is left of it."""

        def guarded(call: Call) -> web.Response:
            account = self._world.quentn
            scheme, _, key = call.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(key.encode(), account.apikey.encode()):
                raise refusal(403, "wrong API key")
            response = _answered(account, operation, call)
            response.headers.update(account.rate.headers())
            return response

        return guarded


class QuentnLowerCase(Quentn):
    """The same calls below ``v1``, as clients write it."""

    prefix = "/quentn/public/api/v1"


def _answered(account: QuentnAccount, operation: AccountOperation, call: Call) -> web.Response:
    if not account.rate.take():
        return trouble(429, "Too Many Requests")
    try:
        return operation(account, call)
    except Refusal as known:
        return known.response
