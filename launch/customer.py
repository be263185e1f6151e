"""Those who were asked: they open the survey's page from their mail, and answer as the scenario says."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from typing import Any

import requests

from handoff.rules.steps import Survey
from launch.expectation import Wanted
from launch.occasions import moment_of
from launch.traces import trace_of
from sandbox.scenario import Scenario
from sandbox.scenario_callexa import ReplyModel

REQUEST_SECONDS = 10.0
LINK = re.compile(r"https?://[^\s\"'<>]+/handoffs/survey/[\w-]+\?score=\d+")
REFUSED = 400


@dataclass(frozen=True, slots=True)
class Answered:
    """What somebody answered.

    :param asked: the mail. :param asked_at: when it arrived, aware.
    :param at: just before the answer was sent, aware.
    :param stored: ``False`` when the page says that it is no answer, such as a rating of 11.
    """

    asked: Wanted
    asked_at: datetime
    reply: ReplyModel
    at: datetime
    stored: bool


class NoAnswer(Exception):  # noqa: N818 - it may be possible later
    """The page cannot be had or does not take the answer; the message says why."""


class Customers:
    """Everybody whom the scenario lets answer surveys, whoever asks.

    :param mails_url: the sandbox's page of mails.
    """

    def __init__(self, scenario: Scenario, mails_url: str) -> None:
        replies = (reply for survey in scenario.callexa.surveys for reply in survey.replies)
        self._replies = {reply.email.strip().lower(): reply for reply in replies}
        self._mails_url = mails_url
        self._session = requests.Session()
        self._session.trust_env = False
        self.answers: dict[str, Answered] = {}
        """By the effect that asked."""
        self.troubles: dict[str, str] = {}
        """Why somebody who was asked has not answered yet, likewise."""

    def close(self) -> None:
        """End the connections."""
        self._session.close()

    def patience(self) -> float:
        """Return how many seconds after its mail the last answer comes at most."""
        return max((reply.after for reply in self._replies.values()), default=0.0)

    def answer(self, wanted: Iterable[Wanted], journal: Iterable[dict[str, Any]]) -> list[Answered]:
        """Answer the survey mails that have arrived, once each and when it is time, and return what was answered.

        :param journal: the entries of ``GET /_sandbox/effects``.
        """
        asking = {one.trace[2]: one for one in wanted if isinstance(one.step, Survey)}
        before = len(self.answers)
        for entry in journal:
            asked = asking.get(trace_of(entry)[2])
            if asked is not None and asked.contact in self._replies:
                self._consider(asked, entry)
        return list(self.answers.values())[before:]

    def _consider(self, asked: Wanted, mail: dict[str, Any]) -> None:
        key, reply = asked.trace[2], self._replies[asked.contact]
        if key in self.answers:
            return
        self.troubles.setdefault(key, f"{asked.contact} was asked and has not answered")
        if time.time() < mail["at"] + reply.after:
            return
        try:
            self.answers[key] = self._give(asked, mail, reply)
            del self.troubles[key]
        except NoAnswer as problem:
            self.troubles[key] = f"{asked.contact} cannot answer: {problem}"

    def _give(self, asked: Wanted, mail: dict[str, Any], reply: ReplyModel) -> Answered:
        """Follow a link of the mail, which records nothing, and send the form of the page behind it."""
        page = self._link_of(mail["detail"]["number"], reply.rating)
        if self._call("GET", page).status_code == REFUSED:
            raise NoAnswer("the page refuses a choice that the mail offers")
        at = datetime.now(UTC)
        form = {"rating": str(reply.rating), "comment": reply.comment}
        stored = self._call("POST", page.partition("?")[0], form).status_code != REFUSED
        return Answered(asked, moment_of(mail["at"]), reply, at, stored)

    def _link_of(self, number: int, rating: int | str) -> str:
        """Return the link that a mail offers for a rating, any for a rating that there is not."""
        links = LINK.findall(unescape(self._call("GET", f"{self._mails_url}/{number}").text))
        if not links:
            raise NoAnswer("there is no link in the mail")
        return str(next((link for link in links if link.endswith(f"?score={rating}")), links[0]))

    def _call(self, method: str, url: str, form: dict[str, str] | None = None) -> requests.Response:
        try:
            response = self._session.request(method, url, data=form, timeout=REQUEST_SECONDS)
        except requests.RequestException as error:
            raise NoAnswer(f"{method} failed with {type(error).__name__}") from error
        if not response.ok and response.status_code != REFUSED:
            raise NoAnswer(f"{method} ended with status {response.status_code}")
        return response
