"""What eTermin's answers say (etermin.md 2.2 and 2.5)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree import ElementTree

from handoff.errors import Transient, WrongCredentials
from hooks.protocols.answers import Denied, clean, read, unreadable
from hooks.protocols.etermin_assumed import is_about_keys, refusal
from hooks.protocols.etermin_fields import Fields, UnreadableField
from hooks.protocols.wire import Request, Response

MESSAGE = "StatusMsg"
"""Of the fields of an answer to a change, the one that no row has; rows have a ``Status`` of their own."""
NOT_PERSONAL = frozenset({"start", "end", "calendarid", "synctoken", "appid", "id", "sync", "sendemail", "date"})
NEED_NO_ANSWER = frozenset({"PUT", "DELETE"})
CHECK_KEYS = "compare both keys with API > API & Web Push in eTermin"


class UnreadableRow(Transient):
    """A row of an answer cannot be read; about other appointments and contacts this says nothing."""


class Declined(Denied):
    """eTermin refused inside a successful answer. :ivar status: 200."""


def document_of(account: str, request: Request, response: Response) -> Any:
    """Return the document of an answer that is no refusal.

    :raises WrongCredentials: 401 or 403, or a refusal about the keys. :raises Declined: a business error in a 200.
    :raises TargetError: see :func:`hooks.protocols.answers.read`.
    """
    if response.status in {401, 403}:
        words = f"HTTP {response.status}: a key is wrong, or this one may not do that; {CHECK_KEYS}"
        raise WrongCredentials(account, request.operation, words)
    try:
        document = read(account, request, _as_json(response), _explain)
    except Denied as error:
        words, status = _discreet(error.words, request), error.status
    else:
        _raise_business_error(account, request, document)
        return document
    if is_about_keys(words):
        raise WrongCredentials(account, request.operation, f"{words}; {CHECK_KEYS}")
    raise Denied(account, request.operation, words, status)


def rows_of(account: str, request: Request, document: Any) -> list[Any]:
    """Return an answer's rows; ``null`` is none of them. :raises TargetError: it is no list."""
    if document is None:
        return []
    if not isinstance(document, list):
        raise unreadable(account, request, "the answer is no list")
    return document


def outcome_of(account: str, request: Request, response: Response) -> Fields:
    """Return the row that answers a change; it is empty where a change or deletion is answered without a body.

    :raises TargetError: see :func:`document_of`. :raises UnknownOutcome: the answer is something else.
    """
    if 200 <= response.status < 300 and not response.body.strip() and request.method in NEED_NO_ANSWER:
        return Fields({})
    document = document_of(account, request, response)
    try:
        return Fields(document[0] if isinstance(document, list) and document else document)
    except UnreadableField:
        pass
    raise unreadable(account, request, "the answer does not say what became of it")


def asked_at(response: Response) -> datetime:
    """Return by eTermin's own clock when a request left (UTC, whole seconds); by this machine's where it names none."""
    try:
        now = parsedate_to_datetime(response.headers.get("date", ""))
    except ValueError:
        now = datetime.now(UTC)
    now = now.astimezone(UTC) if now.tzinfo else now.replace(tzinfo=UTC)
    return (now - timedelta(seconds=response.took)).replace(microsecond=0)


def _raise_business_error(account: str, request: Request, document: Any) -> None:
    row = document[0] if isinstance(document, list) and len(document) == 1 else document
    try:
        answer = Fields(row)
        words = refusal(answer) if MESSAGE in answer else None
    except UnreadableField:
        return
    if words is None:
        return
    words = _discreet(words, request)
    if is_about_keys(words):
        raise WrongCredentials(account, request.operation, f"{words}; {CHECK_KEYS}")
    raise Declined(account, request.operation, words, 200)


def _discreet(words: str, request: Request) -> str:
    """Return the vendor's words without what the query said of a person: parameters stand there in writes, too."""
    personal = {value.strip() for name, value in request.query.items() if name not in NOT_PERSONAL}
    return clean(words, request, [value for value in personal if len(value) > 1])


def _explain(document: Any) -> tuple[str, int | None]:
    try:
        answer = Fields(document[0] if isinstance(document, list) and document else document)
        return answer.text(MESSAGE, "Message", "error") or "without words", None
    except UnreadableField:
        return "an error in an unknown form", None


def _as_json(response: Response) -> Response:
    """Return an answer in XML, which contacts are said to come in (sandbox_traits.md 10), as if it were JSON."""
    body = response.body.lstrip(b"\xef\xbb\xbf \r\n\t")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.endswith("xml") or b"<!" in body:  # no document type, so no entities that grow
        return response
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - see above
    except (ElementTree.ParseError, ValueError, LookupError):
        return response
    rows = [_row(one) for one in root] if any(len(one) for one in root) or not len(root) else [_row(root)]
    return Response(response.status, response.headers, json.dumps(rows).encode())


def _row(element: ElementTree.Element) -> dict[str, str]:
    return {field.tag.rpartition("}")[2]: field.text or "" for field in element}
