"""Webinaris' documented calls as operations without I/O (webinaris.md 1.1 to 1.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from handoff.errors import RateLimited, Refused, WrongCredentials
from hooks.protocols.answers import clean, decode, retry_after, unreadable
from hooks.protocols.shared import Conversation
from hooks.protocols.webinaris_times import ZONE, local_text
from hooks.protocols.wire import Request, Response

REGISTERING = "register participant"
TIME = re.compile(r"(?<![\d:])(?:[01]?\d|2[0-3]):[0-5]\d(?!\d)")
FAILED = ("err", "fail", "invalid", "false")


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody to register for one date of a webinar.

    :param webinar_id: e.g. ``7167W1``.
    :param start: start of the chosen date (aware).
    :param active: grants access; ``False`` blocks it. Repeating a call with the other value toggles
        the access of a registered participant and registers nobody twice (1.1).
    :param timezone: IANA name of the participant's own zone; empty: the webinar's (1.3).
    :param more: further documented fields by their own name, e.g. ``phone``, ``note``, ``source_id``, ``utm_source``.
    """

    webinar_id: str
    email: str
    start: datetime
    first_name: str = ""
    last_name: str = ""
    active: bool = True
    timezone: str = ""
    ip_address: str = "127.0.0.1"
    more: Mapping[str, str] = field(default_factory=dict)


class WebinarisProtocol:
    """The documented calls of one account.

    :param account: Airflow connection id, for errors.
    :param apikey: account-wide key; the legacy calls take the webinar's own key instead (1.1, 1.3).
    """

    def __init__(self, account: str, apikey: str) -> None:
        self.account, self.apikey = account, apikey

    def register(self, participant: Participant, gender: str = "") -> Conversation[Mapping[str, Any]]:
        """Register by the JSON API, version 1.1, and return Webinaris' own answer.

        Documented of the answer is only that it is a JSON object with a status; that a status which
        begins with ``err``, ``fail``, ``invalid`` or ``false`` means a refusal is inferred.

        :param gender: ``male``, ``female``; empty: Webinaris guesses from the first name.
        :raises TargetError: see :mod:`handoff.errors`.
        """
        body = {
            **participant.more,
            "version": "v1.1",
            "apikey": self.apikey,
            "webinar_id": participant.webinar_id,
            "email": participant.email,
            "time": int(participant.start.timestamp()),
            "access": "active" if participant.active else "inactive",
            "ip_address": participant.ip_address,
        }
        optional = {"firstname": participant.first_name, "lastname": participant.last_name}
        optional |= {"timezone": participant.timezone, "gender": gender}
        body |= {name: value for name, value in optional.items() if value}
        request = Request("POST", "/api/register", REGISTERING, changes=True, json=body)
        answer = decode(self.account, request, self._accepted(request, (yield request)))
        if not isinstance(answer, dict):
            raise unreadable(self.account, request, "the answer is not a JSON object")
        if str(answer.get("status", "")).lower().startswith(FAILED):
            raise Refused(self.account, REGISTERING, self._words(request, str(answer)))
        return answer

    def register_legacy(self, participant: Participant, webinar_key: str) -> Conversation[None]:
        """Register, grant or block by the GET API; the answer is the plain text ``OK``.

        :param webinar_key: the API key of this webinar, 32 hex digits.
        :raises TargetError: ``Refused`` with Webinaris' words when it answers anything but ``OK``.
        """
        query = {
            **participant.more,
            "key": participant.webinar_id,
            "password": webinar_key,
            "is_paid": "YES" if participant.active else "NO",
            "time": local_text(participant.start, ZONE),
            "ip_address": participant.ip_address,
            "email": participant.email,
            "firstname": participant.first_name,
            "lastname": participant.last_name,
        }
        request = Request("GET", "/api/", REGISTERING, changes=True, query=query)
        response = self._accepted(request, (yield request))
        words = response.body.decode("utf-8", "replace").strip()
        if words == "OK":
            return
        if not words or words.startswith("<"):
            raise unreadable(self.account, request, "the answer is neither OK nor a sentence")
        raise Refused(self.account, REGISTERING, self._words(request, words))

    def showtimes(self, webinar_id: str, webinar_key: str) -> Conversation[list[str]]:
        """Return the times of day (``19:00``) that Webinaris offers, in its order.

        The format of the answer is documented nowhere, so the times are taken out of the text as it is.
        This call goes to another host than the others (1.2).
        """
        query = {"webinaris_id": webinar_id, "api_password": webinar_key}
        request = Request("GET", "/api/showtimes", "read showtimes", changes=False, query=query)
        response = self._accepted(request, (yield request))
        return list(dict.fromkeys(TIME.findall(response.body.decode("utf-8", "replace"))))

    def _accepted(self, request: Request, response: Response) -> Response:
        """Return a 2xx answer. How Webinaris reports failures is documented nowhere; HTTP's own meaning is used."""
        if response.status in (401, 403):
            raise WrongCredentials(self.account, request.operation, f"HTTP {response.status}")
        if response.status == 429:
            raise RateLimited(self.account, request.operation, "HTTP 429", retry_after(response))
        if 400 <= response.status < 500:
            words = response.body.decode("utf-8", "replace")
            raise Refused(self.account, request.operation, self._words(request, f"HTTP {response.status}: {words}"))
        if not 200 <= response.status < 300:
            raise unreadable(self.account, request, f"HTTP {response.status}")
        return response

    def _words(self, request: Request, words: str) -> str:
        for value in sorted(map(str, {**request.query, **(request.json or {})}.values()), key=len, reverse=True):
            words = words.replace(value, "…") if len(value) > 1 else words
        return clean(words, request)
