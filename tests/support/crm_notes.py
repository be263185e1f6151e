"""Contacts and notes of an Insightly that loses answers, talked to without HTTP."""

from __future__ import annotations

from typing import Any

from handoff.errors import UnknownOutcome
from hooks.protocols.wire import Request, Response
from tests.support.conversation import answer

GONE = answer({"Message": "?"}, 404)


class CrmNotes:
    """An Insightly that keeps contacts and notes; ``lose`` says of which changing request the answer is lost."""

    def __init__(self) -> None:
        self.contacts = {55: "eva@example.org"}
        self.notes: dict[int, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.lose: set[tuple[str, str]] = set()
        self.show_links, self.records = True, {"opportunity/31"}
        self.edits: list[str] = []
        self.longest: int | None = None

    def run(self, operation: Any) -> Any:
        request = next(operation)
        try:
            while True:
                self.asked.append((request.method, request.path))
                response = self._answer(request)
                lost = next((known for known in self.lose if self._is(request, *known)), None)
                if lost:
                    self.lose.remove(lost)
                    request = operation.throw(UnknownOutcome("insightly_default", request.operation))
                else:
                    request = operation.send(response)
        except StopIteration as stop:
            return stop.value

    def bodies(self) -> list[str]:
        return [note["BODY"] for note in self.notes.values()]

    def changes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.asked if method != "GET"]

    @staticmethod
    def _is(request: Request, method: str, path: str) -> bool:
        return request.method == method and request.path.endswith(path)

    def _answer(self, request: Request) -> Response:
        match request.path.split("/")[1:]:
            case ["Contacts", "Search"]:
                found = [one for one, email in self.contacts.items() if email == request.query["field_value"]]
                return answer([{"CONTACT_ID": one, "EMAIL_ADDRESS": self.contacts[one]} for one in reversed(found)])
            case ["Contacts", number, *rest]:
                if int(number) not in self.contacts:
                    return GONE
                return self._contact(int(number), rest, request)
            case ["Notes"]:
                return self._put(request)
            case ["Notes", number]:
                note = self.notes[int(number)]
                return answer(note, etag=f'"{note["v"]}"')
            case ["Notes", number, "Links"]:
                return self._links(self.notes[int(number)], request)
        raise AssertionError(request)

    def _contact(self, number: int, rest: list[str], request: Request) -> Response:
        if not rest:
            return answer({"CONTACT_ID": number, "EMAIL_ADDRESS": self.contacts[number]})
        if request.method == "POST":
            note = {"NOTE_ID": 900 + len(self.notes), "of": number, "v": 1, "LINKS": [], **self._kept(request)}
            self.notes[note["NOTE_ID"]] = note
            return answer({key: note[key] for key in ("NOTE_ID", "TITLE", "BODY")}, 201)
        hidden = set() if self.show_links else {"LINKS"}
        mine = [note for note in self.notes.values() if note["of"] == number]
        skip = int(request.query["skip"])
        return answer([{key: note[key] for key in note if key not in hidden} for note in mine][skip : skip + 500])

    def _put(self, request: Request) -> Response:
        assert request.method == "PUT"
        note = self.notes[request.json["NOTE_ID"]]
        if self.edits:
            note["v"], note["TITLE"] = note["v"] + 1, self.edits.pop()
        if request.headers["If-Match"] != f'"{note["v"]}"':
            return answer({"Message": "If-Match header value is not valid."}, 400)
        note.update(self._kept(request), v=note["v"] + 1)
        return answer(note)

    def _kept(self, request: Request) -> dict[str, Any]:
        return {**request.json, "BODY": request.json["BODY"][: self.longest]}

    def _links(self, note: dict[str, Any], request: Request) -> Response:
        if request.method == "GET":
            return answer(note["LINKS"])
        link = request.json
        if f"{link['LINK_OBJECT_NAME'].lower()}/{link['LINK_OBJECT_ID']}" not in self.records:
            return GONE
        if link in note["LINKS"]:
            return answer({"Message": "The link exists."}, 400)
        note["LINKS"].append(link)
        return answer(link, 201)
