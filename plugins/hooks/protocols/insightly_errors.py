"""What Insightly's answers say when a call did not work (insightly.md 1.3 and 1.4)."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from typing import Any

from handoff.errors import QuotaUsedUp, RateLimited, Transient, WrongCredentials
from handoff.ledger.quotas import next_day
from hooks.protocols.answers import Denied, read, retry_after
from hooks.protocols.wire import Request, Response

BURST_SECONDS = 2.0
"""How long to wait where Insightly does not say: its limit is one of requests in a second (1.3)."""
LONG_SECONDS = 60.0
"""A shorter ``Retry-After`` is not meant for a day that is used up."""
STALE = b"if-match"
"""In the words of the refusal of an outdated ETag; the status is 400, 412 in the documentation (1.4)."""
WORD = re.compile(r"\w+")


class UselessAnswer(Transient):
    """An answer to a read came, and says nothing; other reads may well be answered."""


class UnreadableFields(UselessAnswer):
    """The answer is Insightly's own, and a field of it cannot be read; that seldom passes."""


class Stale(Denied):
    """The record had changed since its ETag was read; nothing was done."""


def accepted(
    account: str, request: Request, response: Response, *, empty: bool = False, secrets: tuple[str, ...] = ()
) -> Any:
    """Return the document of a successful answer.

    :param empty: an answer without a body is a success too; then ``None`` is returned.
    :param secrets: texts that no error may repeat.
    :raises WrongCredentials: 401, said of a wrong key and of a key of another pod alike.
    :raises QuotaUsedUp: 429, and no request of the day is left. :raises RateLimited: 429, too many in a second.
    :raises Stale: 400 or 412 for an outdated ETag. :raises Denied: another status 4xx.
    :raises UnknownOutcome: nothing can be said of the effect.
    :raises UselessAnswer: the same, after a read.
    """
    if response.status == 401:
        words = (
            "HTTP 401: the API key is wrong, or the pod is: Insightly answers both alike; "
            "compare key and pod with User Settings > API in Insightly"
        )
        raise WrongCredentials(account, request.operation, words)
    if response.status == 429:
        raise _limited(account, request, response)
    if not response.body.strip() and 200 <= response.status < 300 and empty:
        return None
    kind, words = Stale if _is_stale(request, response) else Denied, f"HTTP {response.status} without words"
    if response.body.strip() or not 400 <= response.status < 500:
        try:
            return read(account, request, response, _explain if request.changes else _untold)
        except Denied as error:
            words = _discreet(error.words, request, secrets)
        except Transient as error:
            raise UselessAnswer(account, request.operation, error.words) from None
    raise kind(account, request.operation, words, response.status)


def _is_stale(request: Request, response: Response) -> bool:
    if "If-Match" not in request.headers:
        return False
    return response.status == 412 or (response.status == 400 and STALE in response.body.lower())


def _discreet(words: str, request: Request, secrets: tuple[str, ...]) -> str:
    """Return the vendor's words without secrets, and without any word of the note that they are about."""
    for secret in secrets:
        words = words.replace(secret, "…")
    body = request.json.get("BODY", "") if isinstance(request.json, dict) else ""
    said = {word.casefold() for word in WORD.findall(html.unescape(body))}
    return WORD.sub(lambda found: "…" if found[0].casefold() in said else found[0], words)


def _limited(account: str, request: Request, response: Response) -> RateLimited:
    """Tell a burst, over in a second, from a day that is used up: ``X-RateLimit-Remaining`` is the day's (1.3)."""
    asked = retry_after(response)
    if response.headers.get("x-ratelimit-remaining", "").strip() != "0":
        words = "HTTP 429: too many requests in a second"
        return RateLimited(account, request.operation, words, BURST_SECONDS if asked is None else asked)
    now = datetime.now(UTC)
    begins = next_day(now)
    limit = response.headers.get("x-ratelimit-limit", "").strip()
    of = f" of {limit}" if limit.isdecimal() else ""
    if asked is not None and asked >= LONG_SECONDS:
        words = f"HTTP 429: Insightly has no request{of} left today and asks to wait {asked:.0f} s"
        return QuotaUsedUp(account, request.operation, words, asked)
    words = f"HTTP 429: Insightly has no request{of} left today; goes on at {begins:%Y-%m-%d %H:%M} UTC"
    return QuotaUsedUp(account, request.operation, words, (begins - now).total_seconds() + 1)


def _untold(_: Any) -> tuple[str, int | None]:
    """Leave out what is said of a reading: whom it names is nobody that we know and could leave out of it."""
    return "Insightly's words are not repeated", None


def _explain(document: Any) -> tuple[str, int | None]:
    """Return the vendor's words: ``{"Message": ...}``, sometimes with a ``Name`` (1.4)."""
    if isinstance(document, dict):
        words = [document[key] for key in ("Name", "Message") if isinstance(document.get(key), str)]
        return ": ".join(words) or "an error in an unknown form", None
    return "an error in an unknown form", None
