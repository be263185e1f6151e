"""Insightly's API v3.1 as operations without I/O: records, contacts, links and tags (insightly.md 1.1 to 1.8)."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from handoff.contact import same_address
from handoff.errors import Transient
from hooks.protocols.answers import Denied, unreadable
from hooks.protocols.insightly_errors import UnreadableFields, accepted
from hooks.protocols.insightly_pages import PAGE, ListMoves, ListRepeats, Walk, walk
from hooks.protocols.insightly_records import (
    FIELDS,
    LINK_NAMES,
    PATHS,
    Changes,
    CrmContact,
    Link,
    ObjectKind,
    Record,
    RecordKind,
    StateChange,
    UnreadableRow,
    contact_of,
    id_in,
    links_of,
    record_of,
    state_change_of,
    tags_of,
)
from hooks.protocols.insightly_times import query_text
from hooks.protocols.shared import Conversation
from hooks.protocols.wire import Request, Response

Item = TypeVar("Item")
OVERLAP = timedelta(seconds=1)
"""``updated_after_utc`` is strict and counts in seconds, so it is asked one second further back (1.2)."""
SECOND_OVER = timedelta(seconds=60)
"""A second that is so long past gets no more rows, so that thousands stamped alike are not read for ever."""


class InsightlyProtocol:
    """One account's operations.

    :param account: Airflow connection id, for errors. :param key: the API key of one user, with that user's rights.
    """

    def __init__(self, account: str, key: str) -> None:
        self.account = account
        # The user name is the key and the password empty; the colon between them belongs there (1.1).
        signature = base64.b64encode(f"{key}:".encode()).decode("ascii")
        self._secrets = (key, signature)
        self._headers = {"Authorization": f"Basic {signature}", "Accept": "application/json"}

    def verify(self) -> Conversation[str]:
        """Read the instance, which needs a valid key, and return its name. :raises WrongCredentials: key or pod."""
        request = self.request("GET", "/Instance", "read instance")
        answer = self.accepted(request, (yield request))
        name = answer.get("INSTANCE_NAME") if isinstance(answer, dict) else None
        if not isinstance(name, str):
            raise unreadable(self.account, request, "the answer names no instance")
        return name

    def changed(self, kind: RecordKind, since: datetime | None = None) -> Conversation[Changes]:
        """Return what changed at or after a moment, and what to ask for next.

        The cursor is the newest change that was seen, but not later than the moment at which the reading
        began: a record that changed meanwhile may have entered at a place that was read already. Once the
        newest change is :data:`SECOND_OVER` old, the cursor is the second after it.

        :param since: aware; the cursor of the last time. ``None``: everything.
        :raises TargetError: it cannot be read now; nothing is returned then.
        """
        began = time.monotonic()
        asked = {"updated_after_utc": query_text(since - OVERLAP)} if since else {}
        first: list[datetime] = []

        def note(answer: Response) -> None:
            if not first:
                first.append(_began(answer, time.monotonic() - began))

        rows = yield from self._walk(f"{PATHS[kind]}/Search", f"read {kind} changes", FIELDS[kind].id, asked, note)
        records, problems = _read(kind, rows)
        newest = max((record.updated_at for record in records), default=None)
        return Changes(records, problems, _cursor(since, newest, first[0]))

    def page(self, kind: RecordKind, since: datetime | None = None, skip: int = 0) -> Conversation[list[Any]]:
        """Return one raw page of up to 500 rows that changed after a moment (aware, strictly), by ascending id."""
        query = {"updated_after_utc": query_text(since)} if since else {}
        return (yield from self._page(f"{PATHS[kind]}/Search", f"read {kind} changes", query, skip))

    def tagged(self, kind: RecordKind, tag: str) -> Conversation[Changes]:
        """Return the records that carry a tag; the cursor says nothing."""
        path = f"{PATHS[kind]}/SearchByTag"
        rows = yield from self._walk(path, f"read tagged {kind}s", FIELDS[kind].id, {"tag_name": tag})
        return Changes(*_read(kind, rows))

    def record(self, kind: RecordKind, record_id: int) -> Conversation[Record | None]:
        """Return a record as it is now, ``None`` when there is none.

        :raises Transient: it cannot be read, also when its fields cannot.
        """
        request = self.request("GET", f"{PATHS[kind]}/{record_id}", f"read {kind}")
        return (yield from self._one(request, lambda row: record_of(kind, row)))

    def state_history(self, opportunity_id: int) -> Conversation[tuple[StateChange, ...]]:
        """Return when an opportunity came into which state, oldest first; empty when there is no such one (1.6)."""
        request = self.request("GET", f"{PATHS['opportunity']}/{opportunity_id}/StateHistory", "read state history")
        changes = yield from self._one(request, lambda rows: [state_change_of(row) for row in _list(rows)])
        return tuple(sorted(changes or (), key=lambda change: change.changed_at))

    def contact(self, contact_id: int) -> Conversation[CrmContact | None]:
        """Return id, address and name of a contact, ``None`` when there is none."""
        request = self.request("GET", f"{PATHS['contact']}/{contact_id}", "read contact")
        return (yield from self._one(request, contact_of))

    def contacts_by_email(self, email: str) -> Conversation[tuple[CrmContact, ...]]:
        """Return the contacts with an address by ascending id; several may have the same (1.7).

        Whether Insightly compares addresses with regard to case is not known; here it does not count.
        """
        # Brief: a contact's own fields only, less of what is not needed.
        query = {"field_name": "EMAIL_ADDRESS", "field_value": email.strip(), "brief": "true"}
        rows = yield from self._page(f"{PATHS['contact']}/Search", "find contact", query, 0)
        contacts = [contact_of(row) for row in rows if _has_id(row, "CONTACT_ID")]
        same = [contact for contact in contacts if same_address(contact.email, email)]
        return tuple(sorted(same, key=lambda contact: contact.id))

    def links(self, kind: ObjectKind, object_id: int) -> Conversation[tuple[Link, ...]]:
        """Return what a thing is linked to. :raises Denied: there is no such thing."""
        request = self.request("GET", f"{PATHS[kind]}/{object_id}/Links", f"read links of {kind}")
        return tuple(self.parsed(request, (yield request), links_of))

    def add_link(self, kind: ObjectKind, object_id: int, to: ObjectKind, to_id: int) -> Conversation[None]:
        """Link a thing to another. :raises Denied: one of them does not exist, or Insightly says no."""
        body = {"LINK_OBJECT_NAME": LINK_NAMES[to], "LINK_OBJECT_ID": to_id}
        yield from self.change("POST", f"{PATHS[kind]}/{object_id}/Links", f"link {kind} to {to}", body)

    def tags(self, kind: ObjectKind, object_id: int) -> Conversation[tuple[str, ...]]:
        """Return a thing's tags. :raises Denied: there is no such thing."""
        request = self.request("GET", f"{PATHS[kind]}/{object_id}/Tags", f"read tags of {kind}")
        return tuple(self.parsed(request, (yield request), tags_of))

    def add_tag(self, kind: ObjectKind, object_id: int, tag: str) -> Conversation[None]:
        """Add a tag to a thing. :raises Denied: there is no such thing."""
        yield from self.change("POST", f"{PATHS[kind]}/{object_id}/Tags", f"tag {kind}", {"TAG_NAME": tag})

    def remove_tag(self, kind: ObjectKind, object_id: int, tag: str) -> Conversation[None]:
        """Remove a tag, which stands in the body of a DELETE (1.8). :raises Denied: there is no such thing."""
        yield from self.change("DELETE", f"{PATHS[kind]}/{object_id}/Tags", f"untag {kind}", {"TAG_NAME": tag})

    def request(self, method: str, path: str, operation: str, **more: Any) -> Request:
        """Return a signed request; one that is not a GET changes something."""
        headers = {**self._headers, **more.pop("headers", {})}
        return Request(method, path, operation, changes=method != "GET", headers=headers, **more)

    def change(self, method: str, path: str, operation: str, body: Any, **headers: str) -> Conversation[Any]:
        """Change something and return the answer's document, ``None`` for an empty one."""
        request = self.request(method, path, operation, json=body, headers=headers)
        return self.accepted(request, (yield request), empty=True)

    def accepted(self, request: Request, response: Response, *, empty: bool = False) -> Any:
        """Return the document of a successful answer.

        :raises TargetError: see :func:`~hooks.protocols.insightly_errors.accepted`; never with the key in its words.
        """
        return accepted(self.account, request, response, empty=empty, secrets=self._secrets)

    def parsed(self, request: Request, response: Response, parse: Callable[[Any], Item]) -> Item:
        """Return what is read of a successful answer. :raises TargetError: also when its fields cannot be read."""
        document = self.accepted(request, response)
        try:
            return parse(document)
        except UnreadableRow as error:
            words = str(error)
        if request.changes:
            raise unreadable(self.account, request, words)
        raise UnreadableFields(self.account, request.operation, words)

    def all_of(self, path: str, operation: str, id_field: str) -> Conversation[list[Any]]:
        """Return all rows of a list; a row that was read twice is in it twice."""
        return [row for _, row in (yield from self._walk(path, operation, id_field, {})).rows]

    def _one(self, request: Request, parse: Callable[[Any], Item]) -> Conversation[Item | None]:
        response = yield request
        try:
            return self.parsed(request, response, parse)
        except Denied as error:
            if error.status != 404:
                raise
            return None

    def _walk(
        self,
        path: str,
        operation: str,
        id_field: str,
        query: dict[str, str],
        note: Callable[[Response], None] = lambda _: None,
    ) -> Conversation[Walk]:
        try:
            return (yield from walk(lambda skip: self._page(path, operation, query, skip, note), id_field))
        except ListMoves:
            words = "rows vanish faster than the list can be read"
        except ListRepeats:
            words = "a full page holds nothing new; is what answers at the connection's host Insightly?"
        raise Transient(self.account, operation, words)

    def _page(
        self,
        path: str,
        operation: str,
        query: dict[str, str],
        skip: int,
        note: Callable[[Response], None] = lambda _: None,
    ) -> Conversation[list[Any]]:
        asked = {**query, "top": str(PAGE), "skip": str(skip)}
        request = self.request("GET", path, operation, query=asked)
        response = yield request
        rows = self.parsed(request, response, _list)
        note(response)
        return rows


def _read(kind: RecordKind, found: Walk) -> tuple[tuple[Record, ...], tuple[str, ...]]:
    """Return each record once, in its newest form and by ascending id, and what could not be read."""
    records: dict[int, Record] = {}
    problems: dict[str, str] = {}
    for position, row in found.rows:
        where = f"{kind} {row[FIELDS[kind].id]}" if _has_id(row, FIELDS[kind].id) else f"{kind} at {position}"
        try:
            record = record_of(kind, row)
        except UnreadableRow as error:
            problems[where] = f"{where}: {error}"
            continue
        problems.pop(where, None)
        if record.id not in records or record.updated_at >= records[record.id].updated_at:
            records[record.id] = record
    unsorted = () if found.ascending else (f"{kind}s do not come in ascending order of id: some may have been missed",)
    return tuple(records[number] for number in sorted(records)), (*problems.values(), *unsorted)


def _cursor(since: datetime | None, newest: datetime | None, began: datetime) -> datetime | None:
    if newest is None:
        return since
    newest = newest.replace(microsecond=0)
    cursor = min(newest + OVERLAP if newest < began - SECOND_OVER else newest, began)
    return max(cursor, since) if since else cursor


def _began(answer: Response, took: float) -> datetime:
    """Return by Insightly's own clock when the request left; by this machine's where the answer has no date."""
    try:
        now = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        now = datetime.now(UTC)
    return (now.replace(tzinfo=now.tzinfo or UTC) - timedelta(seconds=took)).replace(microsecond=0)


def _list(document: Any) -> list[Any]:
    if not isinstance(document, list):
        raise UnreadableRow("the answer is no list")
    return document


def _has_id(row: Any, name: str) -> bool:
    try:
        return id_in(row, name) > 0
    except UnreadableRow:
        return False
