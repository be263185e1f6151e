from __future__ import annotations

import pytest

from handoff.errors import RateLimited, Refused, Transient, WrongCredentials
from hooks.protocols.klicktipp import KlickTippProtocol
from hooks.protocols.klicktipp_session import KeyPair, Login
from tests.support.conversation import Script, answer

SESSION = answer({"sessid": "xyz", "session_name": "SSESSabc", "account": {"uid": 1, "username": "demo"}})
RENEWED = answer({"sessid": "new", "session_name": "SSESSabc", "account": {"uid": 1, "username": "demo"}})
ENDED = answer(["API Zugriff verweigert."], 403)
DONE = answer([True])
# (printf customer-7 | openssl dgst -sha256 -mac HMAC -macopt hexkey:0a1b2c3d4e5f -binary; printf customer-7) | base64
X_CI = "pIcriUCb0ZjeBy4eXToSyc8SjxF+79qOKyU0I3rVXN1jdXN0b21lci03"


def by_login() -> KlickTippProtocol:
    return KlickTippProtocol("klick", Login("demo-sub", "geheim"))


def by_keys(developer_key: str = "0a1b2c3d4e5f", customer_key: str = "customer-7") -> KlickTippProtocol:
    return KlickTippProtocol("klick", KeyPair("demo", developer_key, customer_key))


def test_the_first_request_signs_in_and_later_ones_reuse_the_session():
    protocol, first, second = by_login(), Script(SESSION, answer({"21": "Webinar"})), Script(DONE)
    assert first.run(protocol.verify()) == "demo"
    second.run(protocol.tag("eva@example.org", [21]))
    assert first.asked == [("POST", "/account/login"), ("GET", "/tag")]
    assert first.requests[0].json == {"username": "demo-sub", "password": "geheim"}
    assert not first.requests[0].headers
    assert first.requests[1].headers == second.requests[0].headers == {"Cookie": "SSESSabc=xyz"}


def test_an_ended_session_is_renewed_once_and_the_request_sent_again():
    protocol = by_login()
    script = Script(SESSION, ENDED, RENEWED, DONE)
    script.run(protocol.tag("eva@example.org", [21]))
    assert [path for _, path in script.asked] == [
        "/account/login",
        "/subscriber/tag",
        "/account/login",
        "/subscriber/tag",
    ]
    assert script.requests[3].headers == {"Cookie": "SSESSabc=new"}
    assert script.requests[3].json == script.requests[1].json


def test_a_fresh_session_that_is_not_accepted_ends_in_wrong_credentials_with_the_vendors_words():
    script = Script(SESSION, ENDED, RENEWED, ENDED)
    with pytest.raises(WrongCredentials, match="API Zugriff verweigert"):
        script.run(by_login().untag("eva@example.org", 21))
    assert len(script.requests) == 4


def test_a_wrong_password_is_said_without_showing_it():
    script = Script(answer(["Wrong username or password."], 401))
    with pytest.raises(WrongCredentials, match="Wrong username or password") as error:
        script.run(by_login().verify())
    assert "geheim" not in str(error.value)
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        answer(body=b""),
        answer(body=b"<html>maintenance</html>"),
        answer([]),
        answer({"sessid": "xyz"}),
        answer({"sessid": "x\r\nSet-Cookie: y", "session_name": "S"}),
        answer(["oops"], 500),
        answer(body=b"", status=302, location="/login"),
    ],
)
def test_a_login_answer_that_cannot_be_used_is_transient(reply):
    with pytest.raises(Transient):
        Script(reply).run(by_login().verify())


def test_a_rate_limit_at_the_login_keeps_its_retry_after():
    with pytest.raises(RateLimited) as error:
        Script(answer(["slow"], 429, retry_after="7")).run(by_login().verify())
    assert error.value.retry_after == 7.0


def test_a_missing_argument_answered_with_401_is_a_refusal_and_no_ended_session():
    script = Script(SESSION, answer(body=b"[Missing required argument email]", status=401))
    with pytest.raises(Refused, match="required argument"):
        script.run(by_login().tag("", [21]))
    assert len(script.requests) == 2


def test_a_key_pair_signs_every_request_and_never_logs_in():
    protocol, script = by_keys(), Script(answer({}), DONE)
    script.run(protocol.verify(), protocol.tag("eva@example.org", [21]))
    assert script.asked == [("GET", "/tag"), ("POST", "/subscriber/tag")]
    assert all(request.headers == {"X-Un": "demo", "X-Ci": X_CI} for request in script.requests)


def test_a_key_pair_that_is_not_accepted_is_tried_once():
    script = Script(answer(["API access denied."], 403))
    with pytest.raises(WrongCredentials, match="API access denied"):
        script.run(by_keys().verify())


@pytest.mark.parametrize(("developer_key", "customer_key"), [("not hex", "c"), ("", "c"), ("0a", "schlüssel")])
def test_keys_that_cannot_sign_are_named_and_not_shown(developer_key, customer_key):
    with pytest.raises(WrongCredentials, match="developer_key must be hexadecimal") as error:
        Script().run(by_keys(developer_key, customer_key).verify())
    assert customer_key == "c" or customer_key not in str(error.value)


def test_credentials_do_not_show_their_secrets():
    shown = repr(Login("demo", "geheim")) + repr(KeyPair("demo", "0a1b", "customer-7"))
    assert "geheim" not in shown
    assert "0a1b" not in shown
    assert "customer-7" not in shown
