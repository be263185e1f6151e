"""An appointment's life at its source, told by words, and what pushes and polls report of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from handoff.occasion import Occasion
from handoff.planning.appointments import Account, announced, deleted, read
from hooks.protocols.etermin_appointments import Appointment

KEY = "uid-1"
MINUTE = timedelta(minutes=1)
WORDS = ("create", "move", "delete", "duplicate", "late", "crash", "due")
"""What happens: at the source (the first three), to its pushes (sent again, or the first one late), to the poll after
the next word, which is interrupted; and the moments come that are waited for, with their last look."""


@dataclass
class Life:
    """One appointment.

    :param prompt: whether the message about the booking arrives at once; else with the word ``late``.
    :param now: the time, by the source's clock. :param start: for which it is booked.
    :param reach: how many reports a poll records before it is interrupted.
    :ivar truth: the appointment, while it is there. :ivar done: the starts for which something went out.
    :ivar over: whether the ledger knew once that it was deleted; it never comes back.
    :ivar crashing: whether the last poll was interrupted.
    :ivar doomed: whether the next one will be.
    """

    prompt: bool
    now: datetime = datetime(2026, 5, 1, 12, tzinfo=UTC)
    start: datetime = datetime(2026, 5, 10, 8, tzinfo=UTC)
    account: Account = field(default_factory=lambda: Account("etermin", "etermin_default", "Europe/Zurich"))
    truth: Appointment | None = None
    last: Appointment | None = None
    deleted_at: datetime | None = None
    crashing: bool = False
    doomed: bool = False
    reach: int = 1
    waiting: Appointment | None = None
    sent: Appointment | None = None
    done: tuple[datetime, ...] = ()
    over: bool = False

    def tell(self, word: str) -> list[Occasion]:
        """Let something happen, a minute later; return what pushes report of it."""
        self.now += MINUTE
        self.crashing, self.doomed = self.doomed, word == "crash"
        if word == "create" and self.last is None:
            end = self.start + 30 * MINUTE
            self.waiting = self._is(Appointment(KEY, start=self.start, end=end, booked_at=self.now))
        elif word == "move" and self.truth is not None:
            self.start += MINUTE
            self._is(replace(self.truth, start=self.start, end=self.start + 30 * MINUTE))
        elif word == "delete" and self.truth is not None:
            self.truth, self.deleted_at = None, self.now
        elif word == "duplicate" and self.sent is not None:
            return [announced(self.sent, self.account)]
        return self._push() if word == "late" or (word == "create" and self.prompt) else []

    def learn(self, known: Occasion | None) -> None:
        """Note what the ledger knows now."""
        self.over = self.over or (known is not None and known.cancelled)

    def shown(self) -> Appointment | None:
        """Return what a last look shows: what was deleted still, once that is known.

        So nothing but that knowledge keeps anything from going out.
        """
        return self.last if self.over else self.truth

    def polled(self, known: Occasion | None) -> list[Occasion]:
        """Return what the poll that follows records; one that crashes gets no further than its reach."""
        found = list[Occasion]()
        if self.truth is not None:
            found = list(read(self.truth, known, self.account, self.now))
        elif self.last is not None:
            found = list(deleted(self.last, known, self.account, self.now, self.deleted_at))
        return found[: self.reach] if self.crashing else found

    def _is(self, appointment: Appointment) -> Appointment:
        self.truth = self.last = appointment
        return appointment

    def _push(self) -> list[Occasion]:
        self.waiting, pushed = None, self.waiting
        self.sent = pushed or self.sent
        return [announced(pushed, self.account)] if pushed else []
