"""Whether newsletter boxes of appointments were ticked: asked of the contacts where rules ask and nothing is said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from handoff.contact import UnusableAddress, normalise_email
from handoff.errors import Refused
from handoff.occasion import Occasion
from handoff.planning.appointments import Account
from handoff.planning.missed import LOOK_BACK
from handoff.planning.planner import due_moment
from handoff.rules.appointment import AppointmentRule
from handoff.rules.rule import Rule
from hooks.etermin import ETerminClient
from hooks.etermin_report import Report
from hooks.protocols.etermin_answers import UnreadableRow

AHEAD = timedelta(days=1)
"""So long before the moment of a rule a contact is looked up; the sweep comes by again and again until then."""


class Boxes:
    """Looks contacts up, each address once, and only where a rule needs to know it by tomorrow.

    :param rules: the account's rules. :param problems: is told what could not be read, without contact data.
    """

    def __init__(self, client: ETerminClient, rules: Iterable[Rule], problems: list[str]) -> None:
        self._client, self._problems = client, problems
        self._rules = [rule for rule in rules if isinstance(rule, AppointmentRule) and rule.newsletter_only]
        self._ticked: dict[str, bool | None] = {}

    @property
    def wanted(self) -> bool:
        """Whether any rule asks for the box at all."""
        return bool(self._rules)

    def asked(self, occasions: Iterable[Occasion], now: datetime) -> bool:
        """Whether a rule needs to know about one of these, and nothing is said. :param now: aware."""
        silent = [one for one in occasions if "newsletter" not in one.facts and not one.cancelled]
        return any(_needs(rule, one, now) for one in silent for rule in self._rules)

    async def means(self, report: Report, known: Occasion | None, account: Account) -> list[Occasion]:
        """Return what a report means, as :meth:`Report.means`, looked up where it has to be.

        :raises TargetError: contacts cannot be read now. That a single one cannot is a problem and stops nothing.
        """
        occasions = report.means(known, account)
        if not self.asked(occasions, report.read_at):
            return occasions
        ticked = await self._look_up(report)
        return replace(report, appointment=replace(report.appointment, newsletter=ticked)).means(known, account)

    async def _look_up(self, report: Report) -> bool | None:
        """Return what the contact says, ``None`` where it does not say anything."""
        try:
            email = normalise_email(report.appointment.customer.email)
        except UnusableAddress:
            return None
        if email not in self._ticked:
            self._ticked[email] = await self._ask(email, report.key)
        return self._ticked[email]

    async def _ask(self, email: str, key: str) -> bool | None:
        try:
            return any(one.newsletter for one in await self._client.contacts(email))
        except (Refused, UnreadableRow) as error:
            self._problems.append(f"{key}: whether its newsletter box was ticked is not known: {error.words}")
        return None


def _needs(rule: Rule, occasion: Occasion, now: datetime) -> bool:
    return rule.matches(occasion) and -LOOK_BACK <= due_moment(rule, occasion) - now <= AHEAD
