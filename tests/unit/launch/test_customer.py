"""A customer follows a link of the mail and sends the page's form, once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from handoff.occasion import Occasion
from handoff.rules.rule import Rule
from launch.customer import Customers
from launch.expectation import Wanted
from sandbox.scenario import Scenario

ANNA, KEY = "anna@example.org", "0123456789abcdef0123456789abcdef"


@dataclass
class Site:
    """What was asked of a mailbox and a survey page, and how the page answers."""

    url: str = ""
    page_status: int = 200
    requests: list[tuple[str, str]] = field(default_factory=list)
    forms: list[dict[str, list[str]]] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests.append(("GET", self.path))
            links = "".join(
                f'<a href="{site.url}/handoffs/survey/token?score={score}">{score}</a>' for score in range(11)
            )
            self.answer(200, links if self.path.startswith("/mails/") else "the page")

        def do_POST(self) -> None:
            site.requests.append(("POST", self.path))
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            site.forms.append(parse_qs(body, keep_blank_values=True))
            self.answer(site.page_status, "")

        def answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        site.url = f"http://127.0.0.1:{server.server_port}"
        yield site
        server.shutdown()


def people(site: Site, **reply: Any) -> Customers:
    replies = [{"email": ANNA, "rating": 9, "comment": "gern & wieder 👍"} | reply]
    scenario = Scenario.model_validate({"callexa": {"surveys": [{"id": "s", "name": "S", "replies": replies}]}})
    return Customers(scenario, f"{site.url}/mails")


def asking(contact: str = ANNA) -> Wanted:
    rule = Rule.model_validate({
        "id": "r", "title": "R", "source": "insightly", "when": {"minutes": 0, "after": "closed"}, "purpose": "survey",
        "legal_basis": "existing_customer", "steps": [{"step": "survey", "survey": "s"}],
    })  # fmt: skip
    occasion = Occasion("insightly", "insightly_default", "opportunity/1/1", "O", {})
    return Wanted(rule, occasion, contact, rule.steps[0], ("email", "mail", KEY), datetime.now(UTC))


def mail(key: str = KEY) -> dict[str, Any]:
    detail = {"message_id": f"<handoff.{key}@example.org>", "number": 7}
    return {"seq": 1, "at": time.time(), "system": "email", "action": "mail", "contact": ANNA, "detail": detail}


def test_the_link_of_the_rating_is_followed_and_the_form_sent_once(site: Site) -> None:
    with closing(people(site)) as customers:
        [answered] = customers.answer([asking()], [mail()])
        assert customers.answer([asking()], [mail()]) == []
        assert customers.troubles == {}
    page = "/handoffs/survey/token"
    assert site.requests == [("GET", "/mails/7"), ("GET", f"{page}?score=9"), ("POST", page)]
    assert site.forms == [{"rating": ["9"], "comment": ["gern & wieder 👍"]}]
    assert answered.stored
    assert answered.asked_at <= answered.at <= datetime.now(UTC)


def test_nobody_answers_before_it_is_time_and_that_is_remembered(site: Site) -> None:
    with closing(people(site, after=3600)) as customers:
        assert customers.answer([asking()], [mail()]) == []
        assert customers.troubles.keys() == {KEY}
        assert customers.patience() == 3600
    assert site.requests == []


def test_who_never_answers_and_other_mails_are_let_be(site: Site) -> None:
    with closing(people(site)) as customers:
        assert customers.answer([asking("bernd@example.org")], [mail()]) == []
        assert customers.answer([asking()], [mail("ffff")]) == []
        assert customers.troubles == {}
    assert site.requests == []


def test_a_page_that_cannot_be_had_is_tried_again(site: Site) -> None:
    with closing(people(site)) as customers:
        site.page_status = 503
        assert customers.answer([asking()], [mail()]) == []
        assert customers.troubles == {KEY: f"{ANNA} cannot answer: POST ended with status 503"}
        site.page_status = 200
        assert len(customers.answer([asking()], [mail()])) == 1
        assert customers.troubles == {}


def test_an_answer_that_the_page_refuses_is_given_but_not_stored(site: Site) -> None:
    with closing(people(site, rating=11)) as customers:
        site.page_status = 400
        [answered] = customers.answer([asking()], [mail()])
        assert not answered.stored
        assert customers.troubles == {}
    assert site.forms[0]["rating"] == ["11"]
