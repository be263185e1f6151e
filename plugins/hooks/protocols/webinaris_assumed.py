"""The one place for what is only assumed of Webinaris: reading its dates, registrants and presence."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from handoff.errors import SourceError, WrongCredentials
from handoff.occasion import Occasion
from handoff.registration import Presence, Registration, Roster
from handoff.times.timing import known_zone
from hooks.protocols.answers import read
from hooks.protocols.shared import Conversation
from hooks.protocols.webinaris_times import ZONE, moment_of
from hooks.protocols.wire import Request

PREFIX = "/api/assumed"
PAGE = 1000
Entry = Mapping[str, Any]
Item = TypeVar("Item")


class UnknownDate(SourceError):
    """The account has no webinar date of this id."""


class UnreadableEntry(SourceError):
    """One listed entry that cannot be used.

    :param ref: the entry's id, or a digest of the entry when it has none; the same at every read.
    """

    def __init__(self, words: str, ref: str) -> None:
        super().__init__(words)
        self.ref = ref


@dataclass(frozen=True, slots=True)
class DateList:
    """The account's webinar dates as read at one time.

    :param now: the source's clock at the read (aware, UTC).
    :param cursor: when the newest of the listed dates changed (unix seconds); 0 when none is listed.
    :param problems: one error per entry that could not be used; the others are all in ``occasions``.
    """

    now: datetime
    occasions: tuple[Occasion, ...]
    cursor: float
    problems: tuple[UnreadableEntry, ...]


@dataclass(frozen=True, slots=True)
class RosterList:
    """The roster of one date, and one error per entry that could not be used; their refs are its ``unreadable``."""

    roster: Roster
    problems: tuple[UnreadableEntry, ...]


class AssumedSurface:
    """Assumed, not documented: Webinaris publishes no way to list dates, participants or presence.

    Nothing below was ever seen of the vendor (webinaris.md 1.6). It is what such an interface would
    have to offer for handoffs to work; if your account offers another one, this class is what changes.
    All paths are below ``prefix`` (connection extra ``assumed_prefix``):

    - ``GET dates`` with ``apikey`` and optionally ``updated_since`` (unix seconds) and ``webinar_id``
    - ``GET participants`` with ``apikey``, ``date_id`` and optionally ``updated_since``, ``after``, ``limit``

    A wrong key is answered with 403, an unknown date with 404. Where an entry gives a moment both as
    ``*_unix`` and as local text, the unix time wins; see :func:`~hooks.protocols.webinaris_times.moment_of`
    for local times around the changes of the clock.

    :param account: Airflow connection id; it becomes :attr:`Occasion.account`.
    :param zone: zone of local times whose entry names none.
    """

    def __init__(self, account: str, apikey: str, prefix: str = PREFIX, zone: str = ZONE) -> None:
        self.account, self.apikey, self.zone = account, apikey, zone
        self.prefix = f"/{prefix.strip('/')}"

    def dates(self, updated_since: float | None = None, webinar_id: str = "") -> Conversation[DateList]:
        """Read the webinar dates, all of them or those that changed since a moment.

        :param updated_since: unix seconds. :param webinar_id: only this webinar's dates.
        :raises WrongCredentials: the key is not accepted. :raises TargetError: no answer to be had now.
        :raises SourceError: the answer as a whole cannot be used.
        """
        query = {"updated_since": _number(updated_since), "webinar_id": webinar_id}
        answer = yield from self._read("dates", "read webinar dates", query)
        entries = self._entries(answer, "dates")
        occasions, problems = self._good(entries, self._occasion)
        cursor = max((_finite(entry.get("updated")) for entry in entries if isinstance(entry, Mapping)), default=0.0)
        return DateList(self._moment(answer, "now", "dates"), tuple(occasions), cursor, tuple(problems))

    def roster(self, date_id: str, updated_since: float | None = None) -> Conversation[RosterList]:
        """Read everybody listed for a date, page by page, with their presence.

        Of several pages, ``read_at`` and ``presence_until`` are those of the oldest one.

        :raises UnknownDate: there is no such date. :raises TargetError: no answer to be had now.
        :raises SourceError: a page as a whole cannot be used; nothing is returned then.
        """
        entries: dict[str, Entry] = {}
        read_at: list[datetime] = []
        complete: list[datetime] = []
        after, seen = "", {""}
        while True:
            query = {"date_id": date_id, "updated_since": _number(updated_since), "after": after, "limit": str(PAGE)}
            page = yield from self._read("participants", "read participants", query, date_id)
            for entry in self._entries(page, "participants"):
                # Who changes while the pages are read may be on two of them; the later one is newer.
                entries[_ref(entry)] = entry
            read_at.append(self._moment(page, "read_at", "participants"))
            complete.append(self._moment(page, "presence_until", "participants"))
            after = str(page.get("next") or "")
            if not after:
                break
            if after in seen:
                raise SourceError(f"{self.account}: participants of date {date_id}: page {after!r} comes twice")
            seen.add(after)
        listed, problems = self._good(list(entries.values()), self._registration)
        listed.sort(key=lambda registration: (registration.registered_at, registration.ref))
        unreadable = tuple(problem.ref for problem in problems)
        return RosterList(Roster(min(read_at), min(complete), tuple(listed), unreadable), tuple(problems))

    def _read(self, path: str, operation: str, query: Mapping[str, str], date_id: str = "") -> Conversation[Entry]:
        given = {"apikey": self.apikey} | {name: value for name, value in query.items() if value}
        request = Request("GET", f"{self.prefix}/{path}", operation, changes=False, query=given)
        response = yield request
        if response.status in (401, 403):
            raise WrongCredentials(self.account, operation, f"HTTP {response.status}")
        if response.status == 404 and date_id:
            raise UnknownDate(f"{self.account}: Webinaris has no date {date_id!r}; it may have been deleted")
        answer = read(self.account, request, response, lambda document: (str(document), None))
        if not isinstance(answer, Mapping):
            raise SourceError(f"{self.account}: {operation}: the answer is not a JSON object")
        return answer

    def _entries(self, answer: Entry, name: str) -> list[Any]:
        entries = answer.get(name)
        if not isinstance(entries, list):
            raise SourceError(f"{self.account}: the answer has no list {name!r}")
        return entries

    def _good(self, entries: list[Any], parse: Callable[[Entry], Item]) -> tuple[list[Item], list[UnreadableEntry]]:
        items: list[Item] = []
        problems: list[UnreadableEntry] = []
        for entry in entries:
            try:
                items.append(parse(entry if isinstance(entry, Mapping) else {}))
            except SourceError as error:
                problems.append(UnreadableEntry(str(error), _ref(entry)))
        return items, problems

    def _occasion(self, entry: Entry) -> Occasion:
        key = self._id(entry, "webinar date")
        where = f"webinar date {key}"
        zone = str(entry.get("timezone") or self.zone)
        if not known_zone(zone):
            raise self._bad("timezone", where, "is no IANA time zone")
        anchors = {name: self._either(entry, name, zone, where) for name in ("start", "end")}
        if anchors["end"] < anchors["start"]:
            raise self._bad("end", where, "is before its start")
        return Occasion(
            source="webinaris",
            account=self.account,
            key=key,
            title=str(entry.get("title") or ""),
            anchors=anchors,
            series=str(entry.get("webinar_id") or ""),
            timezone=zone,
            cancelled=entry.get("status") == "cancelled",
            changed=_finite(entry.get("updated")),
        )

    def _registration(self, entry: Entry) -> Registration:
        ref = self._id(entry, "participant")
        where = f"participant {ref}"
        stays = entry.get("presence") or []
        if not isinstance(stays, list):
            raise self._bad("presence", where, "is not a list")
        return Registration(
            ref=ref,
            email=_text(entry, "email"),
            registered_at=self._moment(entry, "registered", where),
            first_name=_text(entry, "firstname"),
            last_name=_text(entry, "lastname"),
            phone=_text(entry, "phone"),
            language=_text(entry, "language"),
            timezone=_text(entry, "timezone"),
            presence=tuple(self._presence(stay, where) for stay in stays),
        )

    def _presence(self, stay: Any, where: str) -> Presence:
        if not isinstance(stay, Mapping):
            raise self._bad("presence", where, "is not a list of stays")
        joined = self._moment(stay, "joined", where)
        left = None if stay.get("left") is None else self._moment(stay, "left", where)
        if left is not None and left < joined:
            raise self._bad("left", where, "is before joined")
        return Presence(joined, left)

    def _either(self, entry: Entry, name: str, zone: str, where: str) -> datetime:
        if entry.get(f"{name}_unix") is not None:
            return self._moment(entry, f"{name}_unix", where)
        try:
            return moment_of(str(entry.get(name) or ""), zone)
        except ValueError:
            raise self._bad(name, where, "is not a time like 24.03.2026 19:00") from None

    def _moment(self, entry: Entry, name: str, where: str) -> datetime:
        value = entry.get(name)
        try:
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(name)
            return datetime.fromtimestamp(value, UTC)
        except (ValueError, OverflowError, OSError):
            raise self._bad(name, where, "is not a unix time") from None

    def _id(self, entry: Entry, kind: str) -> str:
        key = _key(entry)
        if not key:
            raise self._bad("id", f"{kind} entry {_ref(entry)}", "is missing")
        return key

    def _bad(self, name: str, where: str, words: str) -> SourceError:
        return SourceError(f"{self.account}: {where}: field {name!r} {words}")


def _key(entry: Any) -> str:
    value = entry.get("id") if isinstance(entry, Mapping) else None
    return str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def _ref(entry: Any) -> str:
    """Return an entry's id, or for one without a digest by which it can be told from others."""
    content = json.dumps(entry, sort_keys=True, default=str).encode()
    return _key(entry) or hashlib.sha256(content).hexdigest()[:16]


def _text(entry: Entry, name: str) -> str:
    value = entry.get(name)
    return "" if value is None else str(value).strip()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _finite(value: Any) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if number else 0.0
