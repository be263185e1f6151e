"""What a rule's trigger form says, judged as a whole before anything happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from handoff.contact import Contact, UnusableAddress, normalise_email
from handoff.errors import HandoffError
from handoff.recipients import UnusableLine, recipients
from handoff.rules.rule import Rule
from handoff.texts.templates import did_you_mean
from handoff.times.given_moments import UnusableMoment, given_moments

DUE_NOW, ONE_CONTACT, RESET = "due_now", "one_contact", "reset"
MODES = {
    DUE_NOW: "Hand over what is due now (Fälliges jetzt übergeben)",
    ONE_CONTACT: "Hand over the contacts given below at once (Test mit eigener Adresse)",
    RESET: "Reset the contacts given below, send nothing (zurücksetzen, nichts senden)",
}
"""What the form offers to do."""
TITLES = {
    "mode": "What to do (Was soll geschehen?)",
    "email": "E-mail (E-Mail-Adresse)",
    "first_name": "First name (Vorname)",
    "last_name": "Last name (Nachname)",
    "recipients": "More recipients (weitere Empfänger)",
    "language": "Language (Sprache)",
    "occasion_title": "Title (Titel)",
    "occasion_start": "Start (Beginn)",
    "occasion_end": "End (Ende)",
    "occasion_closed": "Closed (Abschluss)",
    "occasion_answered": "Answered (beantwortet)",
    "occasion_booked": "Booked (neu erstellt)",
    "occasion_modified": "Changed (bearbeitet)",
    "occasion_deleted": "Deleted (gelöscht)",
    "occasion_confirmed": "Confirmed (bestätigt)",
}
"""The titles of the fields, as the form and the errors name them."""
OCCASION = "occasion_"
FIELDS = ("mode", "email", "first_name", "last_name", "recipients", "language", "occasion_title")
"""What every rule's form has, in this order; the occasion's moments follow."""


class UnusableForm(HandoffError):
    """What was filled in cannot be used, or would be ignored."""

    def __init__(self, words: str) -> None:
        super().__init__(f"the trigger form cannot be used, and nothing was done: {words}")


@dataclass(frozen=True, slots=True)
class TriggerForm:
    """What is to be done, and with whom.

    :param mode: one of :data:`MODES`. :param people: each address once; nobody for :data:`DUE_NOW`.
    :param title: the occasion's, as templates show it. :param anchors: its moments that were filled in (aware).
    """

    mode: str
    people: tuple[Contact, ...] = field(default=(), repr=False)
    title: str = ""
    anchors: Mapping[str, datetime] = field(default_factory=dict)


def blank(rule: Rule) -> dict[str, str | None]:
    """Return a rule's form before anybody fills it in: its fields in their order, with what stands in them."""
    filled = {"mode": DUE_NOW, "language": rule.language, "occasion_title": "Test"}
    return {name: filled.get(name) for name in (*FIELDS, *(f"{OCCASION}{anchor}" for anchor in rule.anchors))}


def read(rule: Rule, given: Mapping[str, Any]) -> TriggerForm:
    """Return what a form says.

    :param given: texts by field; what is missing, empty or ``None`` stays as in :func:`blank`.
    :raises UnusableForm: something cannot be used, or would be ignored.
    """
    empty = {name: text or "" for name, text in blank(rule).items()}
    _only_known(given, empty)
    texts = {name: str(given.get(name) or "").strip() or text for name, text in empty.items()}
    filled = {name: text for name, text in texts.items() if text != empty[name]}
    mode = texts["mode"]
    _none_ignored(mode, [name for name in filled if name != "mode"])
    if mode == DUE_NOW:
        return TriggerForm(mode)
    moments = {name.removeprefix(OCCASION): text for name, text in filled.items() if name not in FIELDS}
    try:
        anchors = given_moments(rule, moments, f"{OCCASION}{{}} in the form")
        return TriggerForm(mode, _people(texts), texts["occasion_title"], anchors)
    except (UnusableLine, UnusableMoment) as unusable:
        raise UnusableForm(str(unusable)) from None


def _only_known(given: Mapping[str, Any], known: Mapping[str, str]) -> None:
    for name in given:
        if name not in known:
            # Whoever starts the run by the API may have put an address where a name belongs.
            shown = repr(name) if name.isidentifier() else "of that name"
            hint = did_you_mean(name, known) or f"; its fields are {', '.join(known)}"
            raise UnusableForm(f"it has no field {shown}{hint}")


def _none_ignored(mode: str, filled: list[str]) -> None:
    """Raise when something was filled in that plays no part in what is to be done."""
    if mode not in MODES:
        raise UnusableForm(f"{TITLES['mode']} must be one of: {', '.join(MODES)}")
    ignored = [TITLES[name] for name in filled if mode == DUE_NOW or (mode == RESET and name.startswith(OCCASION))]
    if ignored:
        words = f"filled in, but without a part in {MODES[mode]!r}: {', '.join(ignored)}"
        raise UnusableForm(f"{words}; empty it, or choose something else under {TITLES['mode']!r}")


def _people(texts: Mapping[str, str]) -> tuple[Contact, ...]:
    """Return the contact of the form and those of its list, each address once."""
    listed = recipients(texts["recipients"], texts["language"])
    names = texts["first_name"], texts["last_name"]
    if not texts["email"]:
        if any(names):
            words = f"a name stands there without {TITLES['email']!r}"
            raise UnusableForm(f"{words}; fill in the address, or write both as: Eva Muster <eva@example.org>")
        if not listed:
            raise UnusableForm(f"nobody is named; fill in {TITLES['email']!r} or {TITLES['recipients']!r}")
        return tuple(listed)
    try:
        email = normalise_email(texts["email"])
    except UnusableAddress as unusable:
        words = f"{TITLES['email']!r} holds no address ({unusable.reason}); write it like eva@example.org"
        raise UnusableForm(words) from None
    one = Contact(email, *names, language=texts["language"])
    return (one, *(other for other in listed if other.email != email))
