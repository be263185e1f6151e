"""A Quentn account in memory, asked by the steps themselves, whose answers can be lost."""

from __future__ import annotations

from typing import Any

from handoff.delivery.desk import rendered
from handoff.errors import Transient, UnknownOutcome
from handoff.rules.steps import Step
from handoff.target import Call
from handoff.texts.templates import variables_of
from hooks.protocols.quentn import QuentnProtocol
from hooks.protocols.quentn_assumed import MailStatuses
from hooks.protocols.quentn_steps import QuentnSteps
from hooks.protocols.wire import Request, Response
from tests.support.calls import EVA, a_call
from tests.support.conversation import answer

UNKNOWN, SINGLE, DOUBLE, TEMPORARY = 0, 1, 2, 3
FIELDS = [{"field_name": "field_start", "label": "Terminbeginn", "field_type": "date"}]


class QuentnAccount:
    """A Quentn that keeps contacts and terms.

    :ivar lose: method and end of the path of changes whose answer is lost, once each, after they were done.
    :ivar remembers: the status that an address had when its contact was deleted.
    """

    def __init__(self) -> None:
        self.contacts: dict[int, dict[str, Any]] = {}
        self.terms: dict[int, str] = {}
        self.started: list[dict[str, Any]] = []
        self.remembers: dict[str, int] = {}
        self.asked: list[Request] = []
        self.lose: list[tuple[str, str]] = []
        self.hidden: set[str] = set()
        self.steps = self.another()

    @staticmethod
    def another() -> QuentnSteps:
        return QuentnSteps(QuentnProtocol("quentn_default", "key"), MailStatuses(UNKNOWN, SINGLE, DOUBLE, TEMPORARY))

    def add(self, status: int = DOUBLE, **values: Any) -> dict[str, Any]:
        number = len(self.contacts) + 7
        self.contacts[number] = {"id": number, "mail": EVA.email, "mail_status": status, "terms": [], **values}
        return self.contacts[number]

    def send(self, step: Step, **known: Any) -> Any:
        return self.run(self.steps.send(call_of(step, **known)))

    def seen(self, step: Step, **known: Any) -> Any:
        return self.run(self.steps.seen(call_of(step, **known)))

    def changes(self) -> list[tuple[str, str]]:
        return [(request.method, request.path) for request in self.asked if request.changes]

    def run(self, operation: Any) -> Any:
        reply: Any = None
        try:
            while True:
                wanted = operation.throw(reply) if isinstance(reply, Exception) else operation.send(reply)
                reply = self._exchange(wanted) if isinstance(wanted, Request) else self._shared(wanted)
        except StopIteration as stop:
            return stop.value

    def _shared(self, wanted: Any) -> Any:
        try:
            return self.run(wanted.start())
        except Transient as error:
            return error

    def _exchange(self, request: Request) -> Response | UnknownOutcome:
        self.asked.append(request)
        response = self._answer(request)
        for lost in self.lose:
            if request.method == lost[0] and request.path.endswith(lost[1]):
                self.lose.remove(lost)
                return UnknownOutcome("quentn_default", request.operation)
        return response

    def _answer(self, request: Request) -> Response:
        match request.method, request.path.split("/")[1:]:
            case "GET", ["terms"]:
                first = int(request.query["offset"])
                return answer([{"id": one, "name": name} for one, name in list(self.terms.items())[first:]])
            case "POST", ["terms"]:
                known = {name.lower(): one for one, name in self.terms.items()}
                number = known.get(request.json["name"].lower(), len(self.terms) + 20)
                self.terms.setdefault(number, request.json["name"])
                return answer({"id": number})
            case "GET", ["custom-fields"]:
                return answer(FIELDS)
            case "POST", ["contact"]:
                return self._put(request.json)
            case "GET", ["contact", who]:
                return self._look(who.replace("%40", "@"), request.query["fields"].split(","))
            case "PUT", ["contact", number]:
                self.contacts[int(number)].update(request.json)
                return answer({"success": True})
            case method, ["contact", number, "terms"]:
                terms = self.contacts[int(number)]["terms"]
                kept = [one for one in terms if one not in request.json]
                self.contacts[int(number)]["terms"] = kept + (request.json if method == "PUT" else [])
                return answer({"success": True})
            case "POST", ["cb", _]:
                self.started.append(request.json)
                return answer({"success": True})
        raise AssertionError(request)

    def _put(self, body: dict[str, Any]) -> Response:
        assert body["duplicate_check_method"] == "email"
        values = body["contact"]
        assert "mail_status" not in values
        same = [one for one in self.contacts.values() if one["mail"] == values["mail"]]
        stored = same[0] if same else self.add(self.remembers.get(values["mail"], UNKNOWN))
        empty = {name: value for name, value in values.items() if not stored.get(name)}
        stored.update(empty if body["duplicate_merge_method"] == "add" else values)
        return answer(self._shown(stored, ["id", *body["return_fields"]]))

    def _look(self, who: str, fields: list[str]) -> Response:
        if who.isdigit():
            return answer(self._shown(self.contacts[int(who)], fields, hide=False))
        found = [self._shown(one, fields) for one in self.contacts.values() if one["mail"] == who]
        return answer(found) if found else answer({"error": True, "message": "Contact not found"}, 404)

    def _shown(self, contact: dict[str, Any], fields: list[str], *, hide: bool = True) -> dict[str, Any]:
        return {name: contact.get(name) for name in fields if not (hide and name in self.hidden)}


def call_of(step: Step, **known: Any) -> Call:
    call = a_call(step, **known)
    variables = variables_of(call.contact, call.occasion, call.rule)
    return a_call(rendered(step, variables), **known)
