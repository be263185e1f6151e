"""The stand-in for ActiveCampaign's API v3: which call is which (contract: activecampaign.md)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator

from aiohttp import web

from sandbox.activecampaign import catalogue, contacts
from sandbox.activecampaign.account import ActiveCampaignAccount
from sandbox.exchange import Call, Operation, Refusal, Route, json_answer
from sandbox.world import World

AccountOperation = Callable[[ActiveCampaignAccount, Call], web.Response]


class ActiveCampaign:
    """All calls of ActiveCampaign over the account of one world."""

    system = "activecampaign"
    prefix = "/activecampaign/api/3"
    suffixes: tuple[str, ...] = ("",)

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> Iterator[Route]:
        """Return all calls."""
        world = self._world
        imports: tuple[tuple[str, str, Operation, bool], ...] = (
            ("POST", "/import/bulk_import", lambda call: world.imports.queue(call), True),
            ("GET", "/import/bulk_import", lambda call: world.imports.overview(call), False),
            ("GET", "/import/info", lambda call: world.imports.info(call), False),
        )
        for method, path, operation, changes in imports:
            yield Route(method, path, self._guarded(operation), changes)
        for method, path, account_operation, changes in self._calls():
            yield Route(method, path, self._guarded(self._bound(account_operation)), changes)

    def trouble(self, status: int, words: str) -> web.Response:
        """Return an error as a message."""
        return json_answer({"message": words}, status)

    def _bound(self, operation: AccountOperation) -> Operation:
        return lambda call: operation(self._world.activecampaign, call)

    def _guarded(self, operation: Operation) -> Operation:
        """Let only calls with the account's ``Api-Token`` pass; the answer to others is 403, not 401."""

        def guarded(call: Call) -> web.Response:
            token = self._world.scenario.activecampaign.token.encode()
            if not hmac.compare_digest(call.headers.get("Api-Token", "").encode(), token):
                raise Refusal(json_answer({"message": "Forbidden"}, 403))
            return operation(call)

        return guarded

    @staticmethod
    def _calls() -> Iterator[tuple[str, str, AccountOperation, bool]]:
        yield "POST", "/contact/sync", contacts.sync, True
        yield "GET", "/contacts", contacts.listing, False
        yield "POST", "/contacts", contacts.create, True
        yield "GET", "/contacts/{id}", contacts.single, False
        yield "PUT", "/contacts/{id}", contacts.update, True
        yield "DELETE", "/contacts/{id}", contacts.delete, True
        yield "GET", "/contacts/{id}/contactTags", contacts.tags_of, False
        yield "GET", "/contacts/{id}/contactLists", contacts.lists_of, False
        yield "GET", "/contacts/{id}/fieldValues", contacts.values_of, False
        yield "GET", "/tags", catalogue.tags, False
        yield "POST", "/tags", catalogue.create_tag, True
        yield "GET", "/tags/{id}", catalogue.tag, False
        yield "POST", "/contactTags", catalogue.tag_contact, True
        yield "DELETE", "/contactTags/{id}", catalogue.untag_contact, True
        yield "GET", "/lists", catalogue.lists, False
        yield "POST", "/contactLists", catalogue.subscribe, True
        yield "GET", "/fields", catalogue.fields, False
        yield "POST", "/fieldValues", catalogue.write_value, True
        yield "POST", "/notes", catalogue.note, True
