"""One appointment, and who booked it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Command = Literal["CREATED", "MODIFIED", "DELETED"]
ADDITIONAL = tuple(f"additional{number}" for number in range(1, 21))


@dataclass(slots=True)
class Appointment:
    """One appointment; moments are unix seconds.

    :param id: the numeric id (``appid``). :param uid: the external id, by which pushes name it.
    :param pushed_calendar: the calendar's name as pushes say it; empty for what the API created without naming it.
    :param about: what was said of the customer and the booking, by parameter names in lower case.
    :param change: number of its last change. :param command: what that was.
    """

    id: int
    uid: str
    calendar_id: int
    start: int
    end: int
    booked: int
    pushed_calendar: str = ""
    about: dict[str, str] = field(default_factory=dict)
    services: tuple[int, ...] = ()
    customer_id: int | None = None
    newsletter: bool = False
    confirmed: bool = True
    sequence: int = 0
    change: int = 0
    command: Command = "CREATED"
    deleted: int | None = None
    deleted_by: str = ""

    def text(self, name: str) -> str:
        """Return what was said under a parameter's name, empty when nothing was."""
        return self.about.get(name, "")

    @property
    def email(self) -> str:
        """Return the customer's address as it was given."""
        return self.text("email")


@dataclass(slots=True)
class Customer:
    """A contact of eTermin; ``about`` has parameter names in lower case."""

    cid: int
    uid: str
    created: int
    about: dict[str, str] = field(default_factory=dict)
    newsletter: bool = False
    tags: tuple[str, ...] = ()
    last_appointment: int | None = None

    def text(self, name: str) -> str:
        """Return what is known under a parameter's name, empty when nothing is."""
        return self.about.get(name, "")


@dataclass(slots=True)
class Calendar:
    """A calendar and the ids of its services."""

    id: int
    name: str
    services: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """A service (Dienstleistung)."""

    id: int
    name: str
    minutes: float
