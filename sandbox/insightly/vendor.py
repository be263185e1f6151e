"""Insightly's REST API v3.1: which call is which (contract: insightly.md 1.1 to 1.8).

What is only assumed says so where it is done; sandbox/README.md lists it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator

from aiohttp import web

from sandbox.basic import basic_credentials
from sandbox.exchange import Call, Operation, Route, json_answer
from sandbox.insightly import listing, objects, parts
from sandbox.insightly.account import InsightlyAccount
from sandbox.insightly.answers import UNAUTHORISED, refusal
from sandbox.insightly.kinds import NOTE, OPPORTUNITY, PARENTS, WRONG_NUMBERS, Kind
from sandbox.world import World

KindOperation = Callable[[InsightlyAccount, Kind, Call], web.Response]
Entry = tuple[str, str, KindOperation, bool]

INSTANCE = {"INSTANCE_NAME": "Sandbox", "INSTANCE_SUBDOMAIN": "sandbox", "PLAN_NAME": "Plus",
            "NEW_USER_EXPERIENCE_ENABLED": True}  # fmt: skip
OWNER = {"USER_ID": 1, "FIRST_NAME": "Sandbox", "LAST_NAME": "", "EMAIL_ADDRESS": "sandbox@example.org",
         "ACTIVE": True}  # fmt: skip

_PARENT_ENTRIES: tuple[Entry, ...] = (
    ("GET", "", listing.listing, False),
    ("POST", "", objects.create, True),
    ("PUT", "", objects.update, True),
    ("GET", "/Search", listing.search, False),
    ("GET", "/SearchByTag", listing.search_by_tag, False),
    ("GET", "/{id}", objects.single, False),
    ("DELETE", "/{id}", objects.delete, True),
    ("GET", "/{id}/Tags", parts.tags, False),
    ("POST", "/{id}/Tags", parts.add_tag, True),
    ("PUT", "/{id}/Tags", parts.replace_tags, True),
    ("DELETE", "/{id}/Tags", parts.remove_tag, True),
    ("GET", "/{id}/Notes", listing.notes_of, False),
    ("POST", "/{id}/Notes", parts.add_note, True),
)
_NOTE_ENTRIES: tuple[Entry, ...] = (
    ("GET", "", listing.listing, False),
    ("PUT", "", parts.update_note, True),
    ("GET", "/Search", listing.search, False),
    ("GET", "/{id}", objects.single, False),
    ("DELETE", "/{id}", parts.delete_note, True),
)
_LINK_ENTRIES: tuple[Entry, ...] = (
    ("GET", "/{id}/Links", parts.links, False),
    ("POST", "/{id}/Links", parts.add_link, True),
    ("PUT", "/{id}/Links", parts.add_link, True),
    ("DELETE", "/{id}/Links/{link_id}", parts.remove_link, True),
)
_STATE_ENTRIES: tuple[Entry, ...] = (
    ("PUT", "/{id}/StateChange", objects.change_state, True),
    ("GET", "/{id}/StateHistory", objects.state_history, False),
)


class Insightly:
    """All calls of Insightly over the account of one world."""

    system = "insightly"
    prefix = "/insightly/v3.1"
    suffixes: tuple[str, ...] = ("",)

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> Iterator[Route]:
        """Return all calls, and last one for everything else, which needs a key as well."""
        known = list(self._known())
        yield from known
        paths = [re.compile(re.sub(r"\{\w+\}", "[^/]+", route.path)) for route in known]
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            yield Route(method, "/{unknown:.*}", self._guarded(lambda call: _unknown(paths, call)), False)

    def trouble(self, status: int, words: str) -> web.Response:
        """Return an error as Insightly words them."""
        return json_answer({"Message": words}, status)

    def _known(self) -> Iterator[Route]:
        yield Route("GET", "/Instance", self._guarded(lambda _call: json_answer(INSTANCE)), False)
        yield Route("GET", "/Users/Me", self._guarded(lambda _call: json_answer(OWNER)), False)
        yield self._route(OPPORTUNITY, ("GET", "/OpportunityStateReasons", objects.state_reasons, False))
        yield self._route(OPPORTUNITY, ("GET", "/Tags", objects.tags_in_use, False))
        for kind in PARENTS:
            entries = (*_PARENT_ENTRIES, *_LINK_ENTRIES, *(_STATE_ENTRIES if kind is OPPORTUNITY else ()))
            for method, path, operation, changes in entries:
                yield self._route(kind, (method, f"/{kind.plural}{path}", operation, changes))
        for method, path, operation, changes in (*_NOTE_ENTRIES, *_LINK_ENTRIES):
            yield self._route(NOTE, (method, f"/{NOTE.plural}{path}", operation, changes))

    def _route(self, kind: Kind, entry: Entry) -> Route:
        method, path, operation, changes = entry
        return Route(method, path, self._guarded(lambda call: operation(self._world.insightly, kind, call)), changes)

    def _guarded(self, operation: Operation) -> Operation:
        """Let only calls with the key as user name pass; the password does not matter."""

        def guarded(call: Call) -> web.Response:
            account = self._world.insightly
            user, _ = basic_credentials(call.headers) or ("", "")
            if not user or not hmac.compare_digest(user.encode(), account.key.encode()):
                raise refusal(401, UNAUTHORISED)
            account.catch_up()
            return _with_etag(operation(call))

        return guarded


def _with_etag(response: web.Response) -> web.Response:
    """Every payload has an ETag; one that is no single record gets one of its content."""
    if isinstance(response.body, bytes) and response.body:
        content = hashlib.md5(response.body, usedforsecurity=False).hexdigest()
        response.headers.setdefault("ETag", f'"{content}"')
    return response


def _unknown(paths: list[re.Pattern[str]], call: Call) -> web.Response:
    """Answer 405 to a wrong method or number, 404 to the rest (its words are assumed)."""
    first = call.path.split("/")[1] if "/" in call.path else ""
    if first in WRONG_NUMBERS or any(path.fullmatch(call.path) for path in paths):
        raise refusal(405, f"The requested resource does not support http method '{call.method}'.")
    raise refusal(404, "No HTTP resource was found that matches the request URI.")
