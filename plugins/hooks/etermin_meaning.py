"""What a poll of an eTermin account means: occasions, in an order to record them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace

from handoff.errors import Refused
from handoff.occasion import Occasion
from handoff.planning.appointments import Account, is_deleted
from handoff.rules.rule import Rule
from hooks.etermin import ETerminClient
from hooks.etermin_newsletter import Boxes
from hooks.etermin_poll import Polled
from hooks.etermin_report import Report
from hooks.protocols.etermin_answers import UnreadableRow


async def meaning(
    client: ETerminClient,
    polled: Polled,
    known: Mapping[str, Occasion],
    account: Account,
    rules: Collection[Rule] = (),
) -> AsyncIterator[Occasion]:
    """Yield what a poll means: first what needs no further request.

    What was recorded of it needs none the next time, so that whoever is interrupted and begins anew gets further. That
    a single appointment or contact cannot be read stops nothing: it is added to the problems of ``polled``.

    :param known: the appointments' own occasions in the ledger by key (see :attr:`Polled.keys`).
    :param rules: the account's: where one asks for the newsletter box and nothing is said of it, contacts are
        looked up.
    :raises TargetError: appointments or contacts cannot be read now.
    """
    meant, later = Meaning(client, polled, known, account, rules), list[Report]()
    for report in polled.reports(known):
        if meant.is_open(report):
            later.append(report)
        else:
            for one in meant.noted(report.key, report.means(meant.latest.get(report.key), account)):
                yield one
    for report in later:
        for one in meant.noted(report.key, await meant.settled(report)):
            yield one


class Meaning:
    """What the reports of a poll mean one after the other. :ivar latest: the appointments as told so far."""

    def __init__(
        self,
        client: ETerminClient,
        polled: Polled,
        known: Mapping[str, Occasion],
        account: Account,
        rules: Collection[Rule],
    ) -> None:
        self._client, self._account, self._problems = client, account, polled.met
        self._boxes = Boxes(client, rules, polled.met)
        self._told_gone = {one.key for one in polled.reports({}) if one.gone}
        self._open = set[str]()
        self.latest = dict(known)

    def is_open(self, report: Report) -> bool:
        """Whether a request is needed to say what it means; so it is then for what follows of the same appointment."""
        if self._is_doubtful(report) or (self._boxes.wanted and self._is_asked(report)):
            self._open.add(report.key)
        return report.key in self._open

    def _is_asked(self, report: Report) -> bool:
        """Whether a contact has to be looked up for it."""
        return self._boxes.asked(report.means(self.latest.get(report.key), self._account), report.read_at)

    async def settled(self, report: Report) -> list[Occasion]:
        """Return what it means, nothing when that cannot be found out. :raises TargetError: not now."""
        certain = await self._as_it_is(report) if self._is_doubtful(report) else report
        if certain is None:
            return []
        return await self._boxes.means(certain, self.latest.get(report.key), self._account)

    def noted(self, key: str, occasions: list[Occasion]) -> list[Occasion]:
        """Keep what the appointment is like now, and return the same."""
        self.latest.update((one.key, one) for one in occasions if one.key == key)
        return occasions

    def _is_doubtful(self, report: Report) -> bool:
        """Whether a changed appointment is said to be deleted as well: it may be a trace, and is read itself."""
        return not report.gone and (report.key in self._told_gone or is_deleted(self.latest.get(report.key)))

    async def _as_it_is(self, report: Report) -> Report | None:
        try:
            found, read_at = await self._client.appointment(report.key)
        except (Refused, UnreadableRow) as error:
            self._problems.append(f"{report.key}: whether it was deleted is not known: {error.words}")
            return None
        if found is None:
            return None
        return Report(replace(found, revision=report.appointment.revision), read_at)
