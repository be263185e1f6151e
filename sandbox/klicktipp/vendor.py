"""The stand-in for KlickTipp: which call is which (contract: klicktipp.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aiohttp import web

from sandbox.exchange import Call, Operation, Route, json_answer
from sandbox.klicktipp import catalogue, contacts, listbuilding
from sandbox.klicktipp.account import KlickTippAccount
from sandbox.world import World

AccountOperation = Callable[[KlickTippAccount, Call], web.Response]


class KlickTipp:
    """All calls of KlickTipp over the account of one world."""

    system = "klicktipp"
    prefix = "/klicktipp"
    suffixes: tuple[str, ...] = ("", ".json")

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> Iterator[Route]:
        """Return all calls; a call that changes nothing is one that a client may repeat freely."""
        world = self._world
        yield Route("POST", "/account/login", lambda call: world.logins.login(call, world.scenario.klicktipp), False)
        yield Route("POST", "/account/logout", lambda call: world.logins.logout(call), False)
        for method, path, operation, changes in self._open_calls():
            yield Route(method, path, self._open(operation), changes)
        for method, path, operation, changes in self._calls():
            yield Route(method, path, self._guarded(operation), changes)

    def trouble(self, status: int, words: str) -> web.Response:
        """Return an error in words."""
        return json_answer([words], status)

    def _open(self, operation: AccountOperation) -> Operation:
        return lambda call: operation(self._world.klicktipp, call)

    def _guarded(self, operation: AccountOperation) -> Operation:
        def guarded(call: Call) -> web.Response:
            self._world.logins.check(call, self._world.scenario.klicktipp)
            return operation(self._world.klicktipp, call)

        return guarded

    @staticmethod
    def _open_calls() -> Iterator[tuple[str, str, AccountOperation, bool]]:
        yield "POST", "/subscriber/signin", listbuilding.signin, True
        yield "POST", "/subscriber/signout", listbuilding.signout, True
        yield "POST", "/subscriber/signoff", listbuilding.signoff, True

    @staticmethod
    def _calls() -> Iterator[tuple[str, str, AccountOperation, bool]]:
        yield "GET", "/field", catalogue.fields, False
        yield "GET", "/field/{id}", catalogue.field, False
        yield "GET", "/list", catalogue.opt_ins, False
        yield "POST", "/list/redirect", catalogue.redirect, False
        yield "GET", "/list/{id}", catalogue.opt_in, False
        yield "GET", "/tag", catalogue.tags, False
        yield "POST", "/tag", catalogue.create_tag, True
        yield "GET", "/tag/{id}", catalogue.tag, False
        yield "PUT", "/tag/{id}", catalogue.update_tag, True
        yield "DELETE", "/tag/{id}", catalogue.delete_tag, True
        yield "GET", "/subscriber", contacts.listing, False
        yield "POST", "/subscriber", contacts.upsert, True
        yield "POST", "/subscriber/search", contacts.search, False
        yield "POST", "/subscriber/tag", contacts.tag, True
        yield "POST", "/subscriber/untag", contacts.untag, True
        yield "POST", "/subscriber/unsubscribe", contacts.unsubscribe, True
        yield "POST", "/subscriber/tagged", contacts.tagged, False
        yield "GET", "/subscriber/{id}", contacts.single, False
        yield "PUT", "/subscriber/{id}", contacts.update, True
        yield "DELETE", "/subscriber/{id}", contacts.delete, True
