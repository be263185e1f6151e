"""The ways into KlickTipp: session, developer plus customer key (contract: klicktipp.md 2.2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time

from aiohttp import web

from sandbox.exchange import Call, json_answer
from sandbox.klicktipp.answers import ACCESS_DENIED, done, refusal
from sandbox.scenario_accounts import KlickTippModel

SESSION_NAME = "SSESS5a6e0d6f2c"


class KlickTippLogin:
    """Sessions by id, and the check of ``X-Un`` and ``X-Ci``."""

    def __init__(self) -> None:
        self._sessions: dict[str, float] = {}

    def forget(self) -> None:
        """End all sessions."""
        self._sessions.clear()

    def check(self, call: Call, settings: KlickTippModel) -> None:
        """Let the call pass when it comes with a live session or with both keys.

        :raises Refusal: 403.
        """
        if not (self._live(call) or _keys_match(call, settings)):
            raise refusal(403, ACCESS_DENIED)

    def login(self, call: Call, settings: KlickTippModel) -> web.Response:
        """Open a session.

        :raises Refusal: 400, 401, or 406 when the call came with a live session.
        """
        for name in ("username", "password"):
            if not isinstance(call.body.get(name), str):
                raise refusal(400, f'The key "{name}" must be a string.')
        if self._live(call):
            raise refusal(406, "Sie sind bereits eingeloggt.")
        if (call.body["username"], call.body["password"]) != (settings.username, settings.password):
            raise refusal(401, "Falscher Benutzername oder Passwort.")
        session = secrets.token_urlsafe(24)
        self._sessions[session] = time.monotonic() + settings.session_seconds
        response = json_answer({"sessid": session, "session_name": SESSION_NAME, "account": _account(settings)})
        response.set_cookie(SESSION_NAME, session, httponly=True, path="/")
        return response

    def logout(self, call: Call) -> web.Response:
        """Close the session.

        :raises Refusal: 406 without a live session.
        """
        if not self._live(call):
            raise refusal(406, "Benutzer nicht eingeloggt.")
        del self._sessions[call.cookies[SESSION_NAME]]
        return done()

    def _live(self, call: Call) -> bool:
        return self._sessions.get(call.cookies.get(SESSION_NAME, ""), 0.0) > time.monotonic()


def _account(settings: KlickTippModel) -> dict[str, object]:
    return {
        "uid": 1,
        "status": 1,
        "tier": 20,
        "usergroup": "42",
        "username": settings.username,
        "email": "konto@example.org",
        "firstname": "Kim",
    }


def _keys_match(call: Call, settings: KlickTippModel) -> bool:
    """Check ``X-Ci: base64(HMAC_SHA256(hex2bin(developerKey), customerKey) || customerKey)``."""
    user, sealed = call.headers.get("X-Un"), call.headers.get("X-Ci")
    if user != settings.username or not sealed:
        return False
    try:
        content = base64.b64decode(sealed, validate=True)
    except binascii.Error:
        return False
    customer = settings.customer_key.encode()
    seal = hmac.new(bytes.fromhex(settings.developer_key), customer, hashlib.sha256).digest()
    return hmac.compare_digest(content, seal + customer)
