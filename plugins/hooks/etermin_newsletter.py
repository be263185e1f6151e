"""Whether newsletter boxes of appointments were ticked: asked of the contacts where rules ask and nothing is said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from handoff.contact import UnusableAddress, normalise_email
from handoff.errors import Refused
from handoff.occasion import Occasion
from handoff.planning.appointments import NEWSLETTER_ASKED, Account
from handoff.planning.missed import LOOK_BACK
from handoff.rules.appointment import AppointmentRule
from handoff.rules.rule import Rule
from hooks.etermin import ETerminClient
from hooks.etermin_report import Report
from hooks.protocols.etermin_answers import UnreadableRow

AHEAD = timedelta(days=1)
"""So long before the moment of a rule a contact is looked up; while that fails, the sweep comes by until then."""
AGAIN = timedelta(hours=2)
"""So long before the moment a contact that said nothing is looked up again: a booking may be listed before it. The
sweep comes by hourly, so that this takes two requests, or three."""


class Boxes:
    """Looks contacts up, each address once, and only where a rule needs to know it by tomorrow.

    :param rules: the account's rules. :param problems: is told what could not be read, without contact data.
    """

    def __init__(self, client: ETerminClient, rules: Iterable[Rule], problems: list[str]) -> None:
        self._client, self._problems = client, problems
        self._rules = [rule for rule in rules if isinstance(rule, AppointmentRule) and rule.newsletter_only]
        self._told: dict[str, list[bool] | None] = {}

    @property
    def wanted(self) -> bool:
        """Whether any rule asks for the box at all."""
        return bool(self._rules)

    def asked(self, occasions: Iterable[Occasion], now: datetime) -> bool:
        """Whether a rule needs to know about one of these by now (aware), and nothing is said."""
        silent = [one for one in occasions if "newsletter" not in one.facts and not one.cancelled]
        return any(_needs(rule, one, now) for one in silent for rule in self._rules)

    async def means(self, report: Report, known: Occasion | None, account: Account) -> list[Occasion]:
        """Return what a report means, as :meth:`Report.means`, looked up where it has to be.

        :raises TargetError: contacts cannot be read now. That a single one cannot is a problem and stops nothing.
        """
        occasions = report.means(known, account)
        if not self.asked(occasions, report.read_at):
            return occasions
        told = await self._look_up(report)
        if told is None:
            return occasions
        if not told:
            return [replace(one, facts=one.facts | {NEWSLETTER_ASKED: True}) for one in occasions]
        return replace(report, appointment=replace(report.appointment, newsletter=any(told))).means(known, account)

    async def _look_up(self, report: Report) -> list[bool] | None:
        """Return what the contacts say of the box, those who say nothing left out; ``None`` where none can be asked."""
        try:
            email = normalise_email(report.appointment.customer.email)
        except UnusableAddress:
            return None
        if email not in self._told:
            self._told[email] = await self._ask(email, report.key)
        return self._told[email]

    async def _ask(self, email: str, key: str) -> list[bool] | None:
        try:
            return [one.newsletter for one in await self._client.contacts(email) if one.newsletter is not None]
        except (Refused, UnreadableRow) as error:
            self._problems.append(f"{key}: whether its newsletter box was ticked is not known: {error.words}")
        return None


def _needs(rule: Rule, occasion: Occasion, now: datetime) -> bool:
    if not rule.matches(occasion):
        return False
    left = rule.due(occasion) - now
    return timedelta() <= left <= AGAIN if NEWSLETTER_ASKED in occasion.facts else -LOOK_BACK <= left <= AHEAD
