"""What the facts of an occasion say of the appointment (Termin) that it is about."""

from __future__ import annotations

from datetime import datetime

from handoff.occasion import Occasion

ANNOUNCED = "announced"
"""Fact of an appointment of which only a message is known; it may use other words than the source's own list."""
CONFIRMED_AT = "confirmed_at"
"""Fact of an appointment that had to be confirmed: since when it is, as far as readings tell."""
CONFIRMATION = "confirmation"
"""Fact of a change of an appointment by which it was confirmed, or which was found with that."""


def event_of(occasion: Occasion) -> str:
    """Return what an occasion is: ``created`` for the appointment itself, ``modified`` or ``deleted``."""
    return str(occasion.facts.get("event", ""))


def is_unconfirmed(occasion: Occasion) -> bool:
    """Whether the provider has to confirm the appointment yet."""
    return occasion.facts.get("confirmed") is False


def confirmed_at(occasion: Occasion) -> datetime | None:
    """Return since when (aware) an appointment that had to be confirmed is; ``None`` where it had not, or is not."""
    told = occasion.facts.get(CONFIRMED_AT)
    return datetime.fromisoformat(str(told)) if told else None
