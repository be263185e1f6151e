"""Quentn's API V1 as operations without I/O (quentn.md 4.1 to 4.4)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from handoff.contact import same_address
from handoff.errors import Refused, Transient, UnknownOutcome, WrongCredentials
from hooks.protocols.answers import Denied, unreadable
from hooks.protocols.catalog import Catalog
from hooks.protocols.kept_values import same
from hooks.protocols.quentn_assumed import NOTES, Dates, field_of
from hooks.protocols.quentn_errors import accepted, is_absent
from hooks.protocols.shared import Conversation, Shared
from hooks.protocols.wire import Request, Response

ContactDocument = Mapping[str, Any]
"""A contact as Quentn shows it: ``id`` and the fields that were asked for."""

PAGE = 500
"""The largest page of terms (4.3)."""
NO_FLOOD_LIMIT = 0
"""The limit counts submissions from one ``request_ip`` in an hour (4.2); all of ours come from one machine."""
STANDARD_FIELDS = frozenset({
    "title", "first_name", "family_name", "company", "job_title", "phone_type", "phone", "skype", "fb", "twitter",
    "ba_street", "ba_street2", "ba_city", "ba_postal_code", "ba_state", "ba_country", "date_of_birth", "request_ip",
})  # fmt: skip
"""Fields that every contact has and that may be given as they are (4.2)."""
OWN_WAYS = {
    "mail": "the address is the contact's own",
    "mail_status": "use opt_in",
    "terms": "use the step quentn.term",
    NOTES: "use notes",
}
"""Fields that a rule must not set like others, and what to do instead."""


class QuentnProtocol:
    """One account's operations, with the ids of its terms and the names of its fields, resolved on first use.

    :param account: Airflow connection id, for errors. :param dates: how date fields are written.
    """

    def __init__(self, account: str, api_key: str, dates: Dates | None = None) -> None:
        self.account, self.dates = account, dates or Dates()
        self._key = api_key
        self._headers = {"Authorization": f"Bearer {api_key}", "Accept": "application/json"}
        self._date_fields: frozenset[str] = frozenset()
        advice = "create it in Quentn, correct the rule, or let the step create it"
        self.terms = Catalog(account, "term", advice, self._term_names)
        self.fields = Catalog(account, "field", "correct the rule or create the field in Quentn", self._field_names)

    def verify(self) -> Conversation[None]:
        """Ask whether the key is valid. :raises WrongCredentials: it is not."""
        request = Request("GET", "/check-credentials", "check credentials", changes=False)
        answer = yield from self._call(request)
        if not isinstance(answer, dict) or answer.get("success") is not True:
            raise WrongCredentials(self.account, request.operation, "Quentn does not confirm the API key")

    def contacts(self, email: str, fields: Sequence[str]) -> Conversation[list[ContactDocument]]:
        """Return all contacts with an address, by ascending id; several may share it (4.2).

        :param fields: what to show of them. That the look-up by address takes them is inferred; a contact that is
            shown without one is read again by its id.
        """
        path, query = f"/contact/{quote(email, safe='')}", {"fields": ",".join(fields)}
        request = Request("GET", path, "find contact", changes=False, query=query)
        try:
            rows = yield from self._call(request)
        except Denied as error:
            if is_absent(error):
                return []
            raise
        if not isinstance(rows, list) or not all(_id(row) for row in rows):
            raise unreadable(self.account, request, "the answer is not a list of contacts")
        found: dict[int, ContactDocument] = {}
        for row in rows:
            if not same_address(str(row.get("mail") or email), email):
                continue
            shown = row if set(fields) <= row.keys() else (yield from self.contact(_id(row), fields))
            if shown is not None:
                found[_id(row)] = shown
        return [found[number] for number in sorted(found)]

    def contact(self, contact_id: int, fields: Sequence[str]) -> Conversation[ContactDocument | None]:
        """Return a contact with the fields asked for, or ``None`` when it is gone."""
        query = {"fields": ",".join(fields)}
        request = Request("GET", f"/contact/{contact_id}", "read contact", changes=False, query=query)
        try:
            row = yield from self._call(request)
        except Denied as error:
            if is_absent(error):
                return None
            raise
        if _id(row) != contact_id:
            raise unreadable(self.account, request, "the answer is not that contact")
        return dict(row)

    def put_contact(
        self, email: str, values: Mapping[str, str], merge: str, shown: Iterable[str] = ()
    ) -> Conversation[ContactDocument]:
        """Create the contact with an address, or update it, and return it; ``mail_status`` is never sent.

        :param values: by field name. :param merge: ``update_add``, ``update`` or ``add``.
        :param shown: fields that the answer shall show.
        """
        body = {
            "contact": {"mail": email, **values},
            "duplicate_check_method": "email",
            "duplicate_merge_method": merge,
            "return_fields": ["mail", *shown],
            "flood_limit": NO_FLOOD_LIMIT,
        }
        request = Request("POST", "/contact", "create or update contact", changes=True, json=body)
        answer = yield from self._call(request)
        if not _id(answer):
            raise unreadable(self.account, request, "the answer is not a contact")
        return dict(answer)

    def change_contact(self, contact_id: int, values: Mapping[str, object]) -> Conversation[None]:
        """Change fields of a contact. :raises Denied: e.g. it is gone."""
        path = f"/contact/{contact_id}"
        yield from self._done(Request("PUT", path, "change contact", changes=True, json=dict(values)))

    def add_term(self, contact_id: int, term_id: int) -> Conversation[None]:
        """Give a contact a term; the others stay (PUT adds, 4.3). :raises Denied: e.g. the contact is gone."""
        path = f"/contact/{contact_id}/terms"
        yield from self._done(Request("PUT", path, "add term", changes=True, json=[term_id]))

    def remove_term(self, contact_id: int, term_id: int) -> Conversation[None]:
        """Take a term from a contact; the others stay. :raises Denied: e.g. the contact is gone."""
        path = f"/contact/{contact_id}/terms"
        yield from self._done(Request("DELETE", path, "remove term", changes=True, json=[term_id]))

    def start_campaign(
        self, campaign: int, email: str, first_name: str = "", family_name: str = ""
    ) -> Conversation[None]:
        """Start a campaign for an address; whether it was started cannot be read (4.4)."""
        names = {"first_name": first_name, "family_name": family_name}
        body = {"mail": email, **{field: name for field, name in names.items() if name}}
        yield from self._done(Request("POST", f"/cb/{campaign}", "start campaign", changes=True, json=body))

    def read_terms(self) -> Conversation[dict[int, str]]:
        """Return the names of the account's terms by id."""
        found: dict[int, str] = {}
        while True:
            query = {"offset": str(len(found)), "limit": str(PAGE)}
            request = Request("GET", "/terms", "read terms", changes=False, query=query)
            rows = yield from self._call(request)
            if not isinstance(rows, list) or not all(_id(row) for row in rows):
                raise unreadable(self.account, request, "the answer is not a list of terms")
            before = len(found)
            found.update((_id(row), str(row.get("name") or "")) for row in rows)
            # A page may be shorter than asked for, so that only one without news is the last.
            if len(found) == before:
                return found

    def find_term(self, name: str) -> Conversation[int | None]:
        """Return a term's id, or ``None`` when the account does not have it; names do not count case (4.3)."""
        found = yield from self.terms.find(spelling(name), by_name=True)
        return None if found is None else int(found)

    def term_id(self, name: str, create: bool = False) -> Conversation[int]:
        """Return a term's id. :raises Refused: the account does not have it and it is not to be created."""
        found = yield from self.find_term(name)
        if found is None and create:
            found = yield Shared(f"create term {spelling(name)}", lambda: self._create_term(name))
        if found is None:
            raise self.terms.unknown(name)
        return found

    def field_values(self, values: Mapping[str, str]) -> Conversation[dict[str, str]]:
        """Return the values by field name, moments for date fields as the account writes them.

        :param values: by name or label; a moment is ISO 8601 with an offset.
        :raises Refused: the account has no such field, or it is set in another way.
        """
        resolved: dict[str, str] = {}
        for name, value in values.items():
            if name in OWN_WAYS:
                raise Refused(self.account, "set field", f"{name!r} is not set by fields: {OWN_WAYS[name]}")
            field = name if name in STANDARD_FIELDS else (yield from self.fields.resolve(name))
            resolved[field] = self.dates.text(value) if field in self._date_fields else value
        return resolved

    def same(self, field: str, sent: str, kept: object) -> bool:
        """Whether a field's kept value is what was sent."""
        return self.dates.same(sent, kept) if field in self._date_fields else same(sent, kept)

    def _create_term(self, name: str) -> Conversation[int]:
        """Create a term; for a name that exists Quentn returns its id, so that it may be repeated (4.3).

        :raises Transient: the answer was lost; no contact was touched.
        """
        clean = unicodedata.normalize("NFC", name.strip())
        request = Request("POST", "/terms", "create term", changes=True, json={"name": clean, "description": ""})
        try:
            answer = yield from self._call(request)
            if not _id(answer):
                raise unreadable(self.account, request, "the answer holds no id of a term")
        except UnknownOutcome as error:
            raise Transient(self.account, request.operation, error.words) from None
        self.terms.add(spelling(name), str(_id(answer)))
        return _id(answer)

    def _term_names(self) -> Conversation[list[tuple[str, str]]]:
        return [(str(number), spelling(name)) for number, name in (yield from self.read_terms()).items()]

    def _field_names(self) -> Conversation[list[tuple[str, str]]]:
        request = Request("GET", "/custom-fields", "read fields", changes=False)
        rows = yield from self._call(request)
        try:
            fields = [field_of(row) for row in rows] if isinstance(rows, list) else None
        except ValueError:
            fields = None
        if fields is None:
            raise unreadable(self.account, request, "the answer is not a list of fields with names")
        self._date_fields = frozenset(one.name for one in fields if one.kind == "date")
        return [(one.name, name) for one in fields for name in {one.name, one.label} if name]

    def _call(self, request: Request, *, empty: bool = False) -> Conversation[Any]:
        request = replace(request, headers=self._headers)
        response: Response = yield request
        return accepted(self.account, request, response, self._key, empty=empty)

    def _done(self, request: Request) -> Conversation[None]:
        answer = yield from self._call(request, empty=True)
        if isinstance(answer, dict) and answer.get("success", True) is not True:
            raise unreadable(self.account, request, "the answer confirms nothing")


def spelling(name: str) -> str:
    """Return the spelling by which a term's name is known: Quentn does not count case (4.3)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).lower())


def _id(row: Any) -> int:
    """Return the id of a row, 0 for what has none."""
    number = str(row.get("id", "")) if isinstance(row, Mapping) else ""
    return int(number) if number.isascii() and number.isdigit() else 0
