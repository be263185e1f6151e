"""The public holidays of the German states (gesetzliche Feiertage der Bundesl\u00e4nder)."""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Literal, get_args

State = Literal["BB", "BE", "BW", "BY", "HB", "HE", "HH", "MV", "NI", "NW", "RP", "SH", "SL", "SN", "ST", "TH"]

STATES: dict[str, str] = dict(
    zip(
        get_args(State),
        (
            "Brandenburg", "Berlin", "Baden-W\u00fcrttemberg", "Bayern", "Bremen", "Hessen", "Hamburg",
            "Mecklenburg-Vorpommern", "Niedersachsen", "Nordrhein-Westfalen", "Rheinland-Pfalz",
            "Schleswig-Holstein", "Saarland", "Sachsen", "Sachsen-Anhalt", "Th\u00fcringen",
        ),
        strict=True,
    )
)  # fmt: skip
"""Code to name."""


@cache
def public_holidays(state: str, year: int) -> frozenset[date]:
    """Return the days of a year that are public holidays in the whole state.

    :param state: one of :data:`STATES`.
    """
    # Loading every country's calendar takes a third of a second, and few rules ask for one.
    from holidays.countries.germany import Germany

    return frozenset(Germany(subdiv=state, years=year))
