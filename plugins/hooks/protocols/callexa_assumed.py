"""The one place for what is only assumed of Callexa: every call below ``/api/v2``.

Known are the base address, HTTPS Basic with login e-mail and API key, and that JSON is spoken; the names
``NPS_rating``, ``NPS_comment`` and ``NPS_date`` are those of Callexa's Segment destination (callexa.md 5). Endpoints,
other names, paging and errors were not found anywhere, so nothing below was ever seen of the vendor:

- ``GET /surveys`` gives ``{"surveys": [{"id", "name"}]}``
- ``POST /surveys/{survey}/recipients`` takes ``email``, ``name``, ``external_id``, ``delay_days`` and
  ``max_delay_days`` and gives 201 ``{"id", "state": "queued", "send_at"}``, or 200 ``{"id", "state": "skipped",
  "reason": "asked_recently"}`` when the address was asked within the survey's own minimum distance. That a delay has
  a least and a most is known of the Segment destination's settings, not of a recipient
- ``GET /surveys/{survey}/recipients?email=`` gives ``{"recipients": [{"id", "email", "external_id", "state",
  "queued_at"}]}``
- ``GET /surveys/{survey}/answers?updated_after=&page=`` gives ``{"answers": [{"id", "email", "NPS_rating",
  "NPS_comment", "NPS_date", "external_id"}], "next_page": number or null}``
- errors are ``{"error": {"message"}}`` with 400, 401, 404, or 429 with ``Retry-After``

Paths and names can be set in the connection (:class:`Surface`); if your account differs in more than that, this module
is what changes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from handoff.answer import RATINGS
from handoff.errors import Refused, WrongCredentials
from hooks.protocols.answers import ADDRESS, read, unreadable
from hooks.protocols.catalog import Catalog
from hooks.protocols.doubled_hour import latest_past
from hooks.protocols.shared import Conversation
from hooks.protocols.wire import Request, Response

ZONE = "Europe/Berlin"
QUEUED, SKIPPED = "queued", "skipped"
OVERLAP = timedelta(hours=1)
"""Answers are asked for from so long before the cursor: pages may shift while they are read, and clocks differ."""
MAX_WORD = 60
Entry = Mapping[str, Any]


def utc_now() -> datetime:
    """Return the moment that it is now (aware)."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Surface:
    """Paths and field names, each an extra field of the connection by the same name.

    :raises ValueError: a path or a name cannot be used; the text says which.
    """

    path_surveys: str = "/api/v2/surveys"
    path_recipients: str = "/api/v2/surveys/{survey}/recipients"
    path_answers: str = "/api/v2/surveys/{survey}/answers"
    field_email: str = "email"
    field_name: str = "name"
    field_external_id: str = "external_id"
    field_delay: str = "delay_days"
    field_delay_most: str = "max_delay_days"
    field_rating: str = "NPS_rating"
    field_comment: str = "NPS_comment"
    field_date: str = "NPS_date"

    def __post_init__(self) -> None:
        for path in ("path_surveys", "path_recipients", "path_answers"):
            given = getattr(self, path)
            if not given.startswith("/") or (path != "path_surveys" and "{survey}" not in given):
                raise ValueError(f"{path} must begin with / and, but for path_surveys, hold {{survey}}")
        names = [getattr(self, one.name) for one in fields(self) if one.name.startswith("field_")]
        if len(set(names)) < len(names):
            raise ValueError("two of the field_ names are the same")

    @staticmethod
    def of(path: str, survey_id: str) -> str:
        """Return a path for one survey."""
        return path.replace("{survey}", quote(survey_id, safe=""))


@dataclass(frozen=True, slots=True)
class Queued:
    """What became of a new recipient.

    :param state: ``queued``, ``skipped``, or another state that Callexa names. :param send_at: as Callexa writes it.
    """

    id: str
    state: str
    reason: str = ""
    send_at: str = ""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One entry of a survey's queue.

    :param email: lower case; empty when it is not shown.
    :param external_id: empty when there is none, ``None`` when entries are shown without this field.
    :param queued_at: aware; ``None`` when it is missing or cannot be read.
    """

    id: str
    email: str = field(repr=False)
    external_id: str | None
    state: str
    queued_at: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One person's newest answer to a survey.

    :param email: as Callexa shows it, empty when it does not. :param rating: 0 to 10.
    :param comment: the person's own words, unchanged: HTML in it is text, and its length is not limited.
    :param answered_at: aware, UTC. :param external_id: of the recipient we queued; empty for others.
    """

    id: str
    email: str = field(repr=False)
    rating: int
    comment: str = field(repr=False)
    answered_at: datetime
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers to a survey that changed since a moment.

    :param problems: one sentence per entry that cannot be used, by the answer's id and without what the person said.
    :param cursor: what to give as ``updated_after`` the next time (aware, UTC, never in the future); ``None`` as long
        as there is no answer.
    """

    answers: tuple[Answer, ...]
    problems: tuple[str, ...]
    cursor: datetime | None


class CallexaProtocol:
    """One account's operations, with the ids of its surveys, which are given by name or id.

    :param account: Airflow connection id, for errors. :param login: e-mail address of the account.
    :param zone: IANA name of the zone of times that name none. :param now: the clock.
    """

    def __init__(
        self,
        account: str,
        login: str,
        api_key: str,
        surface: Surface | None = None,
        zone: str = ZONE,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        token = base64.b64encode(f"{login}:{api_key}".encode()).decode("ascii")
        self.account, self.surface, self.zone, self.now = account, surface or Surface(), ZoneInfo(zone), now
        self._headers = {"Authorization": f"Basic {token}", "Accept": "application/json"}
        self._secrets = (token, api_key, login)
        self.surveys = Catalog(account, "survey", "correct the rule or create it in Callexa", self._survey_names)

    def read_surveys(self) -> Conversation[dict[str, str]]:
        """Return the names of the account's surveys by id. :raises WrongCredentials: they are not accepted."""
        request = Request("GET", self.surface.path_surveys, "read surveys", changes=False)
        entries = yield from self._pages(request, "surveys")
        return {
            _id(entry): str(entry.get("name") or "") for entry in entries if isinstance(entry, Mapping) and _id(entry)
        }

    def add_recipient(
        self,
        survey_id: str,
        email: str,
        name: str = "",
        *,
        external_id: str = "",
        delay_days: int = 0,
        at_most_days: int = 0,
    ) -> Conversation[Queued]:
        """Queue a recipient.

        :param delay_days: how long Callexa waits at least. :param at_most_days: after how many days it does not write
            any more. 0 leaves each of them to the survey's own setting.
        """
        names = self.surface
        optional = {
            names.field_external_id: external_id, names.field_delay: delay_days, names.field_delay_most: at_most_days,
        }  # fmt: skip
        body: dict[str, Any] = {names.field_email: email, names.field_name: name}
        body |= {field_name: value for field_name, value in optional.items() if value}
        path = names.of(names.path_recipients, survey_id)
        request = Request("POST", path, "queue recipient", changes=True, json=body)
        answer = yield from self._object(request)
        state, reason, send_at = (_word(answer.get(key)) for key in ("state", "reason", "send_at"))
        if not _id(answer) or not state:
            raise unreadable(self.account, request, "the answer is not a recipient")
        return Queued(_id(answer), state.lower(), reason, send_at)

    def recipients(self, survey_id: str, email: str) -> Conversation[list[Recipient]]:
        """Return what the survey's queue lists for an address.

        An account that does not filter lists others too; their addresses tell.
        """
        path = self.surface.of(self.surface.path_recipients, survey_id)
        query = {self.surface.field_email: email}
        request = Request("GET", path, "read recipients", changes=False, query=query)
        entries = yield from self._pages(request, "recipients")
        if not all(isinstance(entry, Mapping) for entry in entries):
            raise unreadable(self.account, request, "a recipient is not a JSON object")
        return [self._recipient(entry) for entry in entries]

    def answers(self, survey_id: str, updated_after: datetime | None = None) -> Conversation[Answers]:
        """Return the survey's answers, all or those that changed since a moment (aware); see :data:`OVERLAP`.

        :raises TargetError: they cannot be read now; nothing is returned then.
        """
        path = self.surface.of(self.surface.path_answers, survey_id)
        since = {"updated_after": _iso(updated_after - OVERLAP)} if updated_after else {}
        request = Request("GET", path, "read answers", changes=False, query={**since, "page": "1"})
        listed = yield from self._pages(request, "answers")
        # Who changes while the pages are read may be on two of them; the later one is newer.
        entries = {_id(entry) or f"number {number} of the list": entry for number, entry in enumerate(listed, 1)}
        answers: list[Answer] = []
        problems: list[str] = []
        for where, entry in entries.items():
            try:
                answers.append(self._answer(entry))
            except ValueError as error:
                problems.append(f"{self.account}: answer {_word(where)}: {error}")
        newest = [min(answer.answered_at, self.now()) for answer in answers]
        cursor = max([*newest, *([updated_after] if updated_after else [])], default=None)
        return Answers(tuple(answers), tuple(problems), cursor)

    def _survey_names(self) -> Conversation[list[tuple[str, str]]]:
        surveys = yield from self.read_surveys()
        return [(survey, name) for survey, label in surveys.items() for name in {survey, label} if name]

    def _recipient(self, entry: Entry) -> Recipient:
        names = self.surface
        shown = names.field_external_id in entry
        try:
            queued_at = self._moment(entry.get("queued_at"))
        except ValueError:
            queued_at = None
        return Recipient(
            id=_id(entry),
            email=str(entry.get(names.field_email) or "").strip().lower(),
            external_id=str(entry[names.field_external_id] or "") if shown else None,
            state=_word(entry.get("state")).lower(),
            queued_at=queued_at,
        )

    def _answer(self, entry: Any) -> Answer:
        """Check one answer. :raises ValueError: what is wrong with it, without what the person said."""
        names = self.surface
        if not _id(entry):
            raise ValueError("field 'id' is missing")
        rating, comment = entry.get(names.field_rating), entry.get(names.field_comment)
        if isinstance(rating, bool) or not isinstance(rating, int | float) or rating not in RATINGS:
            raise ValueError(f"field {names.field_rating!r} is no whole number from 0 to 10")
        if not isinstance(comment, str | None):
            raise ValueError(f"field {names.field_comment!r} is no text")
        email, external_id = (str(entry.get(name) or "") for name in (names.field_email, names.field_external_id))
        if not email.strip() and not external_id:
            raise ValueError(f"fields {names.field_email!r} and {names.field_external_id!r} are both missing")
        try:
            answered_at = self._moment(entry.get(names.field_date))
        except ValueError:
            raise ValueError(f"field {names.field_date!r} is no date or time like 2026-11-20T18:30:00+01:00") from None
        return Answer(_id(entry), email.strip(), int(rating), comment or "", answered_at, external_id)

    def _moment(self, value: Any) -> datetime:
        """Return a moment (UTC) from ISO 8601: with a zone, without one in the account's, or a date for its midnight.

        :raises ValueError: it is none.
        """
        if not isinstance(value, str):
            raise ValueError("no text")
        moment = datetime.fromisoformat(value.strip())
        try:
            if moment.tzinfo:
                return moment.astimezone(UTC)
            return latest_past(moment.replace(tzinfo=self.zone), self.now())
        except OverflowError as error:
            raise ValueError("a time outside the calendar") from error

    def _pages(self, request: Request, name: str) -> Conversation[list[Any]]:
        """Return the entries of a list and of the pages that follow. :raises Transient: a page cannot be used."""
        found: list[Any] = []
        page, before = 1, None
        while True:
            answer = yield from self._object(request)
            entries, following = answer.get(name), answer.get("next_page")
            if not isinstance(entries, list):
                raise unreadable(self.account, request, f"the answer has no list {name!r}")
            found += entries
            if following is None:
                return found
            if entries == before or not isinstance(following, int) or following <= page:
                raise unreadable(self.account, request, "the pages do not lead on to each other")
            page, before = following, entries
            request = replace(request, query={**request.query, "page": str(page)})

    def _object(self, request: Request) -> Conversation[Entry]:
        signed = replace(request, headers=self._headers)
        response: Response = yield signed
        if response.status in {401, 403}:
            raise WrongCredentials(self.account, request.operation, f"HTTP {response.status}")
        if response.status == 404 and not _is_json(response):
            words = f"HTTP 404: nothing at {request.path}; the calls are assumed, see the paths in the connection"
            raise Refused(self.account, request.operation, words)
        answer = read(self.account, signed, response, lambda document: (self._words(document, request), None))
        if not isinstance(answer, Mapping):
            raise unreadable(self.account, request, "the answer is not a JSON object")
        return answer

    def _words(self, document: Any, request: Request) -> str:
        """Return the vendor's words without our secrets and what we sent of the person, the name among it."""
        error = document.get("error") if isinstance(document, Mapping) else None
        words = error.get("message") if isinstance(error, Mapping) else error
        if not isinstance(words, str) or not words.strip():
            return "an error in an unknown form"
        sent = [value for value in [*(request.json or {}).values(), *request.query.values()] if isinstance(value, str)]
        for value in sorted((*sent, *self._secrets), key=len, reverse=True):
            words = words.replace(value, "…") if len(value) > 1 else words
        return words


def _id(entry: Any) -> str:
    value = entry.get("id") if isinstance(entry, Mapping) else None
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _word(value: Any) -> str:
    """Return a short text of Callexa's without an address, empty for what is no text."""
    return ADDRESS.sub("…", value).strip()[:MAX_WORD] if isinstance(value, str) else ""


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_json(response: Response) -> bool:
    try:
        response.json()
    except (ValueError, RecursionError):
        return False
    return True
