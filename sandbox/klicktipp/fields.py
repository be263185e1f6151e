"""KlickTipp's contact fields and how each type is stored (contract: klicktipp.md 2.4)."""

from __future__ import annotations

import re

STANDARD_FIELDS: dict[str, tuple[str, str]] = {
    "fieldFirstName": ("Vorname", "line"),
    "fieldLastName": ("Nachname", "line"),
    "fieldCompanyName": ("Firma", "line"),
    "fieldStreet1": ("Straße 1", "line"),
    "fieldStreet2": ("Straße 2", "line"),
    "fieldCity": ("Stadt", "line"),
    "fieldState": ("Bundesland", "line"),
    "fieldZip": ("PLZ", "line"),
    "fieldCountry": ("Land", "line"),
    "fieldPrivatePhone": ("Telefon (privat)", "line"),
    "fieldMobilePhone": ("Telefon (mobil)", "line"),
    "fieldPhone": ("Telefon", "line"),
    "fieldFax": ("Fax", "line"),
    "fieldWebsite": ("Website", "url"),
    "fieldBirthday": ("Geburtstag", "date"),
    "fieldLeadValue": ("LeadValue", "decimal"),
}
"""Name to (label, type)."""

_PATTERNS = {
    "number": re.compile(r"-?\d+"),
    "decimal": re.compile(r"-?\d+"),
    "url": re.compile(r"https?://\S+"),
    "time": re.compile(r"\d{1,5}"),
    "date": re.compile(r"-?\d+"),
    "datetime": re.compile(r"-?\d+"),
}
LAST_SECOND_OF_DAY = 86399


def stored_value(kind: str, value: object) -> str:
    """Return how a value is kept.

    :param kind: ``line``, ``paragraph``, ``number``, ``decimal``, ``url``, ``time`` (seconds of the
        day), ``date`` or ``datetime`` (unix seconds), ``html``.
    :raises ValueError: when the type does not take the value (answered with error 8).
    """
    text = "" if value is None else str(value)
    pattern = _PATTERNS.get(kind)
    if not text or pattern is None:
        return text
    if not pattern.fullmatch(text) or (kind == "time" and int(text) > LAST_SECOND_OF_DAY):
        raise ValueError(f"a field of type {kind} does not take this value")
    # "input 1999 -> output 19.99": decimals are given in hundredths
    return f"{int(text) / 100:.2f}" if kind == "decimal" else text


def stored_phone(number: str) -> str:
    """Return ``0049...`` for ``+49...`` or ``0049...``.

    :raises ValueError: when it is no phone number (answered with error 11).
    """
    digits = re.sub(r"[\s/()-]", "", number)
    if digits.startswith("+"):
        digits = "00" + digits[1:]
    if not re.fullmatch(r"00\d{6,18}", digits):
        raise ValueError("no phone number with its country code")
    return digits
