"""Why a push is not taken. The words never say whether an account exists."""

from __future__ import annotations

from http import HTTPStatus
from math import ceil

from starlette.responses import PlainTextResponse

ANSWERS = {
    "unauthenticated": (HTTPStatus.UNAUTHORIZED, "not accepted"),
    "no_secret": (HTTPStatus.UNAUTHORIZED, "not accepted"),
    "too_large": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large"),
    "too_slow": (HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time"),
    "wrong_type": (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "this content type is not taken here"),
    "unreadable": (HTTPStatus.BAD_REQUEST, "the body cannot be read"),
    "unexpected": (HTTPStatus.UNPROCESSABLE_ENTITY, "the body does not say what is expected here"),
    "too_many": (HTTPStatus.TOO_MANY_REQUESTS, "too many at once; try again later"),
    "unavailable": (HTTPStatus.SERVICE_UNAVAILABLE, "it may not be stored; send it again"),
}
"""Status and words by reason; a reason is also what is counted."""
CHALLENGE = {"WWW-Authenticate": 'Basic realm="handoffs", charset="UTF-8"'}
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Refusal(Exception):
    """A push is not taken.

    :param reason: one of :data:`ANSWERS`. :param words: more about it, with nothing of what was sent.
    :param retry_after: seconds after which it may be sent again.
    """

    def __init__(self, reason: str, words: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.words, self.retry_after = reason, words, retry_after

    def response(self) -> PlainTextResponse:
        """Return the answer."""
        status, words = ANSWERS[self.reason]
        headers = dict(HEADERS)
        if status is HTTPStatus.UNAUTHORIZED:
            headers |= CHALLENGE
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, ceil(self.retry_after)))
        return PlainTextResponse(f"{words}: {self.words}" if self.words else words, status, headers)
