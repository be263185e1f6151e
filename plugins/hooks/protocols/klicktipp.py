"""KlickTipp's management API as operations without I/O (klicktipp.md 2.3 to 2.5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from handoff.errors import Transient, UnknownOutcome
from hooks.protocols.answers import Denied, decode, read, unreadable
from hooks.protocols.catalog import Catalog
from hooks.protocols.klicktipp_errors import explain
from hooks.protocols.klicktipp_session import KeyPair, Login, Session
from hooks.protocols.shared import Conversation, Shared
from hooks.protocols.wire import Request

ContactDocument = Mapping[str, Any]
"""A contact as KlickTipp shows it: all values are texts, maps may come as an empty list (2.4)."""

ABSENT_NUMBERS = frozenset({4, 7})
NOT_SUBSCRIBED = 9
STANDARD_FIELDS = frozenset({
    "fieldFirstName",
    "fieldLastName",
    "fieldCompanyName",
    "fieldStreet1",
    "fieldStreet2",
    "fieldCity",
    "fieldState",
    "fieldZip",
    "fieldCountry",
    "fieldPrivatePhone",
    "fieldMobilePhone",
    "fieldPhone",
    "fieldFax",
    "fieldWebsite",
    "fieldBirthday",
    "fieldLeadValue",
})
"""Fields that every account has; they need no look-up (2.4)."""


class KlickTippProtocol:
    """One account's operations, with its session and the ids of its tags, fields and opt-in processes.

    Names are resolved to ids on first use; an id may be given instead. SmartTags are not listed by KlickTipp and never
    appear here.

    :param account: Airflow connection id, for errors.
    """

    def __init__(self, account: str, credentials: Login | KeyPair) -> None:
        self.account = account
        self.session = Session(account, credentials)
        self.tags = Catalog(
            account, "tag", "create it in KlickTipp, correct the rule, or let the step create it", self._tag_names
        )
        self.fields = Catalog(account, "field", "correct the rule or create the field in KlickTipp", self._read_fields)
        self.opt_ins = Catalog(
            account, "opt-in process", "correct the rule or create the process in KlickTipp", self._read_opt_ins
        )

    def verify(self) -> Conversation[str]:
        """Read the tags, which needs valid credentials. Returns the user name the account goes by."""
        yield from self.tags.reread()
        return self.session.username

    def read_tags(self) -> Conversation[dict[str, str]]:
        """Return the names of the account's manual tags by id."""
        return (yield from self._numbered("/tag", "read tags"))

    def tag_id(self, name: str, create: bool = False) -> Conversation[int]:
        """Return the id of a tag, named by its name or id; one that may have to be created, by its name.

        :raises Refused: the account does not have it and it is not to be created.
        """
        found = yield from self.tags.find(name, by_name=create)
        if found is None and create:
            found = yield Shared(f"create tag {name}", lambda: self._create_tag(name))
        if found is None:
            raise self.tags.unknown(name)
        return int(found)

    def field_values(self, values: Mapping[str, str]) -> Conversation[dict[str, str]]:
        """Return the values by field id; a field is named by its id or its label.

        :raises Refused: the account has no such field.
        """
        resolved: dict[str, str] = {}
        for name, value in values.items():
            field = name if name in STANDARD_FIELDS else (yield from self.fields.resolve(name))
            resolved[field] = value
        return resolved

    def upsert_contact(
        self, email: str, *, opt_in: str = "", tag_id: int | None = None, fields: Mapping[str, str] | None = None
    ) -> Conversation[ContactDocument]:
        """Create or update a contact and return it.

        Without an opt-in process KlickTipp uses the account's default, which sends a confirmation mail (2.3).

        :param opt_in: name or id of an opt-in process. :param fields: values by field id (see :meth:`field_values`).
        """
        body: dict[str, Any] = {"email": email}
        if opt_in:
            body["listid"] = int((yield from self.opt_ins.resolve(opt_in)))
        if tag_id is not None:
            body["tagid"] = tag_id
        if fields:
            body["fields"] = dict(fields)
        request = Request("POST", "/subscriber", "create or update contact", changes=True, json=body)
        answer = yield from self._call(request)
        if not isinstance(answer, dict) or not str(answer.get("id", "")).isdigit():
            raise unreadable(self.account, request, "the answer is not a contact")
        return answer

    def tag(self, email: str, tag_ids: Iterable[int]) -> Conversation[None]:
        """Tag a contact that exists. :raises Denied: e.g. it does not exist (see :func:`says_not_found`)."""
        body = {"email": email, "tagids": list(tag_ids)}
        yield from self._done(Request("POST", "/subscriber/tag", "tag contact", changes=True, json=body))

    def untag(self, email: str, tag_id: int) -> Conversation[None]:
        """Remove a tag from a contact that exists. :raises Denied: e.g. it does not exist."""
        body = {"email": email, "tagid": tag_id}
        yield from self._done(Request("POST", "/subscriber/untag", "untag contact", changes=True, json=body))

    def find_contact(self, email: str) -> Conversation[int | None]:
        """Return a contact's id, or ``None`` when the account does not know the address."""
        request = Request("POST", "/subscriber/search", "find contact", changes=False, json={"email": email})
        try:
            answer = yield from self._call(request)
        except Denied as error:
            if error.status == 404 or error.code in ABSENT_NUMBERS:
                return None
            raise
        if not isinstance(answer, list) or len(answer) != 1 or not str(answer[0]).isdigit():
            raise unreadable(self.account, request, "the answer is not a contact's id")
        return int(answer[0])

    def read_contact(self, contact_id: int) -> Conversation[ContactDocument | None]:
        """Return a contact, or ``None`` when it is gone (status 404 with an empty body)."""
        request = Request("GET", f"/subscriber/{contact_id}", "read contact", changes=False)
        response = yield from self.session.signed(request)
        if response.status == 404 and (not response.body.strip() or decode(self.account, request, response)):
            return None
        answer = read(self.account, self.session.as_sent(request), response, explain)
        if not isinstance(answer, dict) or str(answer.get("id")) != str(contact_id):
            raise unreadable(self.account, request, "the answer is not that contact")
        return answer

    def look_up(self, email: str) -> Conversation[ContactDocument | None]:
        """Return the contact with an address, or ``None``."""
        contact_id = yield from self.find_contact(email)
        return None if contact_id is None else (yield from self.read_contact(contact_id))

    def _call(self, request: Request) -> Conversation[Any]:
        response = yield from self.session.signed(request)
        if b"Missing required argument" in response.body and response.status == 401:
            raise Denied(self.account, request.operation, "HTTP 401: a required argument is missing", 401)
        return read(self.account, self.session.as_sent(request), response, explain)

    def _done(self, request: Request) -> Conversation[None]:
        answer = yield from self._call(request)
        if answer != [True]:
            raise unreadable(self.account, request, "the answer is not [true]")

    def _map(self, path: str, operation: str) -> Conversation[dict[str, str]]:
        """Read a map of texts; an empty one may come as an empty list."""
        request = Request("GET", path, operation, changes=False)
        answer = yield from self._call(request)
        if answer == []:
            return {}
        if not isinstance(answer, dict) or not all(isinstance(name, str | None) for name in answer.values()):
            raise unreadable(self.account, request, "the answer is not a map of names")
        return {key: name or "" for key, name in answer.items()}

    def _tag_names(self) -> Conversation[list[tuple[str, str]]]:
        return list((yield from self.read_tags()).items())

    def _read_opt_ins(self) -> Conversation[list[tuple[str, str]]]:
        return list((yield from self._numbered("/list", "read opt-in processes")).items())

    def _numbered(self, path: str, operation: str) -> Conversation[dict[str, str]]:
        names = yield from self._map(path, operation)
        return {number: name for number, name in names.items() if number.isdigit()}

    def _read_fields(self) -> Conversation[list[tuple[str, str]]]:
        return list((yield from self._map("/field", "read fields")).items())

    def _create_tag(self, name: str) -> Conversation[str | None]:
        """Create a tag once; when that fails or is doubtful, see whether the account has it now.

        :raises Transient: it is still doubtful; no contact was touched.
        """
        request = Request("POST", "/tag", "create tag", changes=True, json={"name": name})
        try:
            answer = yield from self._call(request)
            if not isinstance(answer, list) or len(answer) != 1 or not str(answer[0]).isdigit():
                raise unreadable(self.account, request, "the answer is not a tag's id")
        except (Denied, UnknownOutcome) as error:
            found = yield from self.tags.find(name, again=True, by_name=True)
            if found is None and isinstance(error, UnknownOutcome):
                raise Transient(self.account, request.operation, error.words) from None
            if found is None:
                raise
            return found
        self.tags.add(name, str(answer[0]))
        return str(answer[0])


def says_not_found(error: Denied) -> bool:
    """Whether a refusal may mean that the contact does not exist: status 404, or error 4, 7 or 9 (2.5).

    Error 9 is also said of contacts that unsubscribed, and 404 of tags: look the contact up to be sure.
    """
    return error.status == 404 or error.code in {*ABSENT_NUMBERS, NOT_SUBSCRIBED}
