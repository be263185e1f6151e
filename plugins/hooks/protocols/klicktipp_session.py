"""How a request is signed for KlickTipp: by a login's session or by a developer and a customer key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from handoff.errors import WrongCredentials
from hooks.protocols.answers import Denied, read, unreadable
from hooks.protocols.klicktipp_errors import explain
from hooks.protocols.shared import Conversation, Shared
from hooks.protocols.wire import Request, Response

Headers = Mapping[str, str]
SIGNING_IN = "sign in"
TOKEN = re.compile(r"[!#-+\--:<-\[\]-~]+")
"""What a cookie may consist of (RFC 6265): no space, quote, comma, semicolon or line end."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A developer key and the customer key made for it (klicktipp.md 2.2 B).

    :param username: the KlickTipp account. :param developer_key: hexadecimal digits.
    """

    username: str
    developer_key: str = field(repr=False)
    customer_key: str = field(repr=False)

    def headers(self, account: str) -> Headers:
        """Return ``X-Un`` and ``X-Ci``. :raises WrongCredentials: the keys cannot be used as they are."""
        try:
            key = bytes.fromhex(self.developer_key)
            customer = self.customer_key.encode("ascii")
            self.username.encode("ascii")
        except ValueError:
            key = b""
        if not key or not self.username.isprintable():
            words = "developer_key must be hexadecimal digits, customer_key and login plain ASCII"
            raise WrongCredentials(account, SIGNING_IN, words)
        cipher = hmac.new(key, customer, hashlib.sha256).digest()
        return {"X-Un": self.username, "X-Ci": base64.b64encode(cipher + customer).decode("ascii")}


@dataclass(frozen=True, slots=True)
class Login:
    """User name and password of a KlickTipp account, best of a sub-account with the role API User (2.2 A)."""

    username: str
    password: str = field(repr=False)


class Session:
    """The signed state of one account: signs in on first use, and once again when the session has ended.

    How long a session lives is not documented; KlickTipp answers 401 or 403 when it has ended.

    :param account: Airflow connection id, for errors.
    """

    def __init__(self, account: str, credentials: Login | KeyPair) -> None:
        self.account, self.credentials = account, credentials
        self.username = credentials.username
        self._headers: Headers | None = None

    def signed(self, request: Request) -> Conversation[Response]:
        """Send a request signed. :raises WrongCredentials: they were not accepted, also not when fresh."""
        headers = yield from self._current()
        response: Response = yield replace(request, headers=headers)
        if _not_signed_in(response) and isinstance(self.credentials, Login):
            if self._headers is headers:
                self._headers = None
            response = yield replace(request, headers=(yield from self._current()))
        if _not_signed_in(response):
            _accepted(self.account, self.as_sent(request), response)
        return response

    def as_sent(self, request: Request) -> Request:
        """Return the request with the headers that signed it, so that what they carry is kept out of errors."""
        return replace(request, headers=self._headers or {})

    def _current(self) -> Conversation[Headers]:
        match self.credentials:
            case KeyPair() as keys if self._headers is None:
                self._headers = keys.headers(self.account)
            case Login() as login if self._headers is None:
                yield Shared("sign in", lambda: self._sign_in(login))
        return self._headers or {}

    def _sign_in(self, login: Login) -> Conversation[None]:
        body = {"username": login.username, "password": login.password}
        request = Request("POST", "/account/login", SIGNING_IN, changes=False, json=body)
        answer = _accepted(self.account, request, (yield request))
        name, value = (answer.get(key) for key in ("session_name", "sessid")) if isinstance(answer, dict) else ("", "")
        if not all(isinstance(part, str) and TOKEN.fullmatch(part) for part in (name, value)):
            raise unreadable(self.account, request, "the answer holds no session")
        user = answer.get("account")
        if isinstance(user, dict) and isinstance(user.get("username"), str):
            self.username = user["username"]
        self._headers = {"Cookie": f"{name}={value}"}


def _not_signed_in(response: Response) -> bool:
    """Whether an answer speaks of the session; a missing argument is answered 401 too, not even as JSON (2.5)."""
    return response.status in {401, 403} and b"Missing required argument" not in response.body


def _accepted(account: str, request: Request, response: Response) -> Any:
    """Return the answer's document. :raises WrongCredentials: the vendor says 401 or 403 in its own words."""
    try:
        return read(account, request, response, explain)
    except Denied as error:
        if _not_signed_in(response):
            raise WrongCredentials(account, request.operation, error.words) from None
        raise
