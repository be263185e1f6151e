"""What an eTermin account says of one appointment, and what that means beside what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from handoff.occasion import Occasion
from handoff.planning.appointments import Account, deleted, read
from hooks.protocols.etermin_appointments import Appointment, Deletion


@dataclass(frozen=True, slots=True)
class Report:
    """One appointment as it is, or that it was deleted.

    :param appointment: as it is, or as it was. :param read_at: when the reading began (aware).
    :param gone: it was deleted. :param deleted_at: when (aware), where that is said.
    """

    appointment: Appointment
    read_at: datetime
    gone: bool = False
    deleted_at: datetime | None = None

    @classmethod
    def of(cls, deletion: Deletion, read_at: datetime) -> Self:
        """Return the report of a deletion."""
        return cls(deletion.appointment, read_at, True, deletion.deleted_at)

    @property
    def key(self) -> str:
        """The appointment's id."""
        return self.appointment.id

    def means(self, known: Occasion | None, account: Account) -> list[Occasion]:
        """Return the occasions that it means, in an order to record them.

        :param known: the appointment's own occasion in the ledger, if it has one.
        """
        if not self.gone:
            return list(read(self.appointment, known, account, self.read_at))
        if known is not None and self.appointment.newsletter is not None:
            known = replace(known, facts={"newsletter": self.appointment.newsletter, **known.facts})
        return list(deleted(self.appointment, known, account, self.read_at, self.deleted_at))
