"""When a handoff is due: an offset before or after an anchor of its occasion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from handoff.errors import HandoffError
from handoff.times.public_holidays import State
from handoff.times.working_days import working_days_from

Anchor = Literal["start", "end", "closed", "answered", "booked", "modified", "deleted", "confirmed"]
Language = Literal["de", "en"]

_WORDS = {
    "de": {"days": ("Tag", "Tage"), "hours": ("Stunde", "Stunden"), "minutes": ("Minute", "Minuten"),
           "working_days": ("Arbeitstag", "Arbeitstage")},
    "en": {"days": ("day", "days"), "hours": ("hour", "hours"), "minutes": ("minute", "minutes"),
           "working_days": ("working day", "working days")},
}  # fmt: skip
_AND = {"de": "und", "en": "and"}
_ANCHORS = {
    "de": {"start": "Start", "end": "Ende", "closed": "Abschluss", "answered": "Eingang der Antwort",
           "booked": "Zeitpunkt der Buchung", "modified": "Zeitpunkt der Änderung",
           "deleted": "Zeitpunkt der Löschung", "confirmed": "Bestätigung der Einwilligung"},
    "en": {"start": "the start", "end": "the end", "closed": "the closing", "answered": "the answer",
           "booked": "the booking", "modified": "the change", "deleted": "the deletion",
           "confirmed": "the confirmation"},
}  # fmt: skip
_DIRECTIONS = {
    "de": {"before": "vor", "after": "nach", "at": "zum"},
    "en": {"before": "before", "after": "after", "at": "at"},
}


class UnknownZone(HandoffError):
    """A time zone is no IANA name that this machine knows."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown time zone {name!r}; write an IANA name such as Europe/Berlin")


class Span(BaseModel):
    """A length of time in whole minutes, hours and days; each at most about ten years."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    units: ClassVar[tuple[str, ...]] = ("days", "hours", "minutes")

    minutes: int = Field(default=0, ge=0, le=5_000_000, strict=True, description="Minuten")
    hours: int = Field(default=0, ge=0, le=90_000, strict=True, description="Stunden")
    days: int = Field(default=0, ge=0, le=3_650, strict=True, description="Tage")

    @model_validator(mode="after")
    def _says_how_long(self) -> Self:
        if not self.model_fields_set.intersection(type(self).units):
            right = "say how long with minutes, hours or days; minutes: 0 means no time at all"
            raise PydanticCustomError("no_amount", "no length of time", {"right": right})
        return self

    @property
    def elapsed(self) -> timedelta:
        """The length as elapsed time, a day being 24 hours."""
        return timedelta(days=self.days, hours=self.hours, minutes=self.minutes)

    def in_words(self, language: Language = "en") -> str:
        """Return the length for people, e.g. ``"2 Tage und 3 Stunden"``; empty when it is zero."""
        amounts = [(getattr(self, unit), _WORDS[language][unit]) for unit in self.units]
        parts = [f"{amount} {words[amount != 1]}" for amount, words in amounts if amount]
        return f" {_AND[language]} ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


class When(Span):
    """The moment of a handover: so long before or after an anchor.

    In a rule file: ``{minutes: 10, after: end}``, ``{days: 2, hours: 3, before: start}``.
    """

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["before"]}, {"required": ["after"]}]},
    )

    units: ClassVar[tuple[str, ...]] = ("days", "working_days", "hours", "minutes")

    before: Anchor | None = Field(
        default=None, description="Vor: so long before this moment of the occasion, e.g. start"
    )
    after: Anchor | None = Field(default=None, description="Nach: so long after this moment of the occasion, e.g. end")
    # Left out where they are not said, so that a rule written before they could be said stays the same version.
    working_days: int = Field(
        default=0,
        ge=0,
        le=2_500,
        strict=True,
        exclude_if=lambda days: days == 0,
        description="Arbeitstage: Monday to Friday, counted after the days",
    )
    holidays: State | None = Field(
        default=None,
        exclude_if=lambda state: state is None,
        description="The public holidays of this German state are no working days (Feiertage), e.g. BY",
    )

    @model_validator(mode="after")
    def _names_one_anchor(self) -> Self:
        right = "name one moment of the occasion with before or after, e.g. {minutes: 10, after: end}"
        if self.before and self.after:
            raise PydanticCustomError("both_anchors", "both anchors, before and after, are given", {"right": right})
        if not (self.before or self.after):
            raise PydanticCustomError("no_anchor", "no anchor is given", {"right": right})
        return self

    @model_validator(mode="after")
    def _counts_working_days_without_holidays(self) -> Self:
        if self.holidays and not self.working_days:
            right = "holidays only matter for working_days, e.g. {working_days: 3, after: closed, holidays: BY}"
            raise PydanticCustomError("holidays_for_nothing", "no working days are counted", {"right": right})
        return self

    @property
    def anchor(self) -> str:
        """The key in :attr:`handoff.occasion.Occasion.anchors` from which the offset counts."""
        return self.before or self.after or ""

    def due(self, anchor: datetime, zone: str) -> datetime:
        """Return the due moment in UTC.

        Days are calendar days on the wall clock of ``zone`` and are counted first, then working days:
        two days after 19:00 is 19:00, whatever daylight saving does in between. A wall time that the clocks skip
        is moved forward by the gap (02:30 becomes 03:30). A wall time that comes twice is the same
        one of the two as the anchor was, else the first. Minutes and hours are elapsed time.

        :param anchor: aware moment of the occasion's anchor.
        :param zone: IANA name of the occasion's time zone.
        :raises UnknownZone: when ``zone`` is no IANA name.
        :raises ValueError: when ``anchor`` is naive.
        """
        if anchor.utcoffset() is None:
            raise ValueError("the anchor needs a time zone")
        sign = -1 if self.before else 1
        moment = add_days(anchor, zone, sign * self.days)
        if self.working_days:
            day = moment.astimezone(zone_named(zone)).date()
            moment = add_days(moment, zone, working_days_from(day, sign * self.working_days, self.holidays))
        return moment + sign * timedelta(hours=self.hours, minutes=self.minutes)

    def describe(self, language: Language = "en") -> str:
        """Return the sentence for people: ``"1 Minute nach Ende"``, ``"1 minute after the end"``."""
        length = self.in_words(language)
        direction = _DIRECTIONS[language]["at" if not length else "before" if self.before else "after"]
        return " ".join(filter(None, [length, direction, _ANCHORS[language][self.anchor]]))


def add_days(moment: datetime, zone: str, days: int) -> datetime:
    """Return the moment (UTC) so many calendar days later, at the same time of day in ``zone``.

    :param moment: aware. :param days: negative for days earlier.
    :raises UnknownZone: when ``zone`` is no IANA name.
    """
    local = moment.astimezone(zone_named(zone))
    # Aware arithmetic within one zone moves the wall clock; only the choice of the fold is left.
    first, second = ((local + timedelta(days=days)).replace(fold=fold) for fold in (0, 1))
    in_gap = (first.utcoffset() or timedelta()) < (second.utcoffset() or timedelta())
    return (second if local.fold and not in_gap else first).astimezone(UTC)


def zone_named(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name. :raises UnknownZone: there is none of this name."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise UnknownZone(name) from error


def known_zone(name: str) -> bool:
    """Say whether a name is an IANA time zone."""
    try:
        zone_named(name)
    except UnknownZone:
        return False
    return True


@lru_cache(maxsize=1024)
def recipient_zone(own: str, occasions: str) -> str:
    """Return the zone in which a recipient lives: their own when it is an IANA name, else the occasion's.

    :param own: what the source says of the contact, often nothing. :param occasions: the occasion's zone.
    """
    return own if known_zone(own) else occasions
