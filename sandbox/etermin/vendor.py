"""eTermin's API: who may call it, and which call is which (contract: etermin.md 2.1 to 2.3).

ASSUMED: status and body of the refusal of a bad signature, and that a mistake in a request is told by ``Status`` and
``StatusMsg`` inside a 200.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping

from aiohttp import web

from sandbox.etermin import appointments, catalogue, contacts, feed
from sandbox.etermin.account import EterminAccount
from sandbox.etermin.answers import Problem, contact_status, status_row
from sandbox.etermin.arguments import Parameters, parameters
from sandbox.exchange import Call, Operation, Refusal, Route, json_answer
from sandbox.world import World

AccountOperation = Callable[[EterminAccount, Parameters], web.Response]


class Etermin:
    """All calls of eTermin over the account of one world."""

    system = "etermin"
    prefix = "/etermin/api"
    suffixes: tuple[str, ...] = ("",)

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> Iterator[Route]:
        """Return all calls; ids travel as parameters, never in the path."""
        for method, path, operation in self._calls():
            yield Route(method, path, self._guarded(operation), method != "GET")

    def trouble(self, status: int, words: str) -> web.Response:
        """Return an error of the server."""
        return json_answer({"Message": words}, status)

    @staticmethod
    def _calls() -> Iterator[tuple[str, str, AccountOperation]]:
        yield "GET", "/appointment", appointments.listing
        yield "POST", "/appointment", appointments.create
        yield "PUT", "/appointment", appointments.update
        yield "DELETE", "/appointment", appointments.delete
        yield "GET", "/appointmentsync", feed.changed
        yield "GET", "/appointmentdeleted", feed.deleted
        yield "GET", "/contact", contacts.listing
        yield "POST", "/contact", contacts.create
        yield "PUT", "/contact", contacts.update
        yield "DELETE", "/contact", contacts.delete
        yield "GET", "/calendar", catalogue.calendars
        yield "POST", "/calendar", catalogue.create_calendar
        yield "PUT", "/calendar", catalogue.update_calendar
        yield "DELETE", "/calendar", catalogue.delete_calendar
        yield "GET", "/service", catalogue.services
        yield "GET", "/calendarservice", catalogue.services_of_calendars

    def _guarded(self, operation: AccountOperation) -> Operation:
        """Let only calls with a good signature pass."""

        def guarded(call: Call) -> web.Response:
            account = self._world.etermin
            if not signed(call.headers, account.model.publickey, account.model.privatekey):
                raise Refusal(self.trouble(401, "Authorization has been denied for this request."))
            account.catch_up()
            response = _answered(account, operation, call)
            if response.content_type == "application/json":
                response.content_type = account.model.json_type
            return response

        return guarded


def signed(headers: Mapping[str, str], publickey: str, privatekey: str) -> bool:
    """Tell whether the signature is that of the salt. Nothing else is signed, and a salt may be used for ever."""
    salt, given = headers.get("salt", ""), headers.get("signature", "")
    digest = hmac.new(privatekey.encode(), salt.encode(), hashlib.sha256).digest()
    good = hmac.compare_digest(given.encode(), base64.b64encode(digest))
    return good and bool(salt) and hmac.compare_digest(headers.get("publickey", "").encode(), publickey.encode())


def _answered(account: EterminAccount, operation: AccountOperation, call: Call) -> web.Response:
    try:
        return operation(account, parameters(call))
    except Problem as problem:
        if call.path == "/contact":
            return contacts.answer(account, "ContactStatus", [contact_status(problem=str(problem))])
        return json_answer([status_row(problem=str(problem))])
