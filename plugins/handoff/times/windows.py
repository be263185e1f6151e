"""Sending windows: at which times of which days a step may go out, on the recipient's wall clock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from handoff.times.public_holidays import State, public_holidays
from handoff.times.timing import Language, zone_named

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
TIME = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
_DAY, _TICK = timedelta(days=1), timedelta(microseconds=1)
_NAMES = {
    "de": dict(zip(WEEKDAYS, ("Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"), strict=True)),
    "en": dict(zip(WEEKDAYS, ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), strict=True)),
}


def _time_of_day(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(TIME, value):
        right = 'hours and minutes from "00:00" to "24:00", e.g. "08:00"'
        near = f"0{value}" if isinstance(value, str) and re.fullmatch(TIME, f"0{value}") else ""
        raise PydanticCustomError("no_time_of_day", "this is no time of day", {"right": right, "did_you_mean": near})
    return value


def _in_order(days: tuple[Weekday, ...]) -> tuple[Weekday, ...]:
    return tuple(sorted(set(days), key=WEEKDAYS.index))


TimeOfDay = Annotated[str, BeforeValidator(_time_of_day), WithJsonSchema({"type": "string", "pattern": TIME})]


class Window(BaseModel):
    """When a step may go out: from ``not_before`` until ``not_after``, on these days.

    In a rule file: ``{not_before: "08:00", not_after: "20:00", weekdays: [mon, fri], holidays: BY}``.
    At ``not_after`` itself it is closed. It never reaches over midnight.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    not_before: TimeOfDay = Field(default="00:00", description="Opens at this time of the recipient's day (ab)")
    not_after: TimeOfDay = Field(default="24:00", description="Closed from this time on (bis); 24:00: end of the day")
    weekdays: Annotated[tuple[Weekday, ...], AfterValidator(_in_order)] = Field(
        default=WEEKDAYS, min_length=1, description="Open on these days only (Wochentage); default: on all"
    )
    holidays: State | None = Field(
        default=None, description="Closed on the public holidays of this German state (Feiertage), e.g. BY"
    )

    @model_validator(mode="after")
    def _opens(self) -> Self:
        if not self.model_fields_set:
            right = 'say when it is open, e.g. {not_before: "08:00", not_after: "20:00"}'
            raise PydanticCustomError("no_window", "the window says nothing", {"right": right})
        if self._opens_at >= self._closes_at:
            right = (
                "not_before must be earlier than not_after: the window is when messages may go out, the quiet hours "
                "(Ruhezeit) are the rest of the day; one over midnight is not possible"
            )
            near = f'{{not_before: "{self.not_after}", not_after: "{self.not_before}"}}'
            words = {"right": right, "did_you_mean": near if self._closes_at < self._opens_at else ""}
            raise PydanticCustomError("never_open", "the window never opens", words)
        return self

    @property
    def _opens_at(self) -> timedelta:
        return _since_midnight(self.not_before)

    @property
    def _closes_at(self) -> timedelta:
        return _since_midnight(self.not_after)

    def open_on(self, day: date) -> bool:
        """Tell whether the window opens at all on a day of the recipient's calendar."""
        if WEEKDAYS[day.weekday()] not in self.weekdays:
            return False
        return self.holidays is None or day not in public_holidays(self.holidays, day.year)

    def earliest(self, moment: datetime, zone: str) -> datetime:
        """Return the first moment (UTC), not before ``moment``, at which the window is open.

        What counts is what the recipient's clock shows: an hour that comes twice is open both times,
        and of one that is skipped nothing is left.

        :param moment: aware. :param zone: IANA name of the recipient's time zone.
        :raises UnknownZone: when ``zone`` is no IANA name.
        """
        return next(
            begin + (opens - clock)
            for begin, day, clock, length in _stretches(moment.astimezone(UTC), zone)
            if (opens := max(clock, self._opens_at)) < min(clock + length, self._closes_at) and self.open_on(day)
        )

    def describe(self, language: Language = "en") -> str:
        """Return the window for people, e.g. ``"08:00-20:00, Mon Tue, not on public holidays (BY)"``."""
        days = " ".join(_NAMES[language][day] for day in self.weekdays) if self.weekdays != WEEKDAYS else ""
        closed = {"de": "nicht an Feiertagen", "en": "not on public holidays"}[language]
        parts = [f"{self.not_before}-{self.not_after}", days, f"{closed} ({self.holidays})" if self.holidays else ""]
        return ", ".join(filter(None, parts))


def _since_midnight(clock: str) -> timedelta:
    hours, minutes = clock.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes))


def _stretches(moment: datetime, zone: str) -> Iterator[tuple[datetime, date, timedelta, timedelta]]:
    """Yield the stretches from a moment (UTC) on, within each of which the clock of one day runs straight.

    Each is its first moment (UTC), its day, the time of day at which it begins, and its length.
    """
    place = zone_named(zone)
    while True:
        local = moment.astimezone(place).replace(tzinfo=None)
        clock = local - datetime.combine(local, time.min)
        end = _straight_until(moment, moment + (_DAY - clock), place)
        yield moment, local.date(), clock, end - moment
        moment = end


def _straight_until(moment: datetime, midnight: datetime, place: ZoneInfo) -> datetime:
    """Return ``midnight``, or the moment before it at which the clocks of the place change; all UTC."""
    offset = moment.astimezone(place).utcoffset()
    if (midnight - _TICK).astimezone(place).utcoffset() == offset:
        return midnight
    straight, changed = moment, midnight
    while changed - straight > _TICK:
        middle = straight + (changed - straight) // 2
        if middle.astimezone(place).utcoffset() == offset:
            straight = middle
        else:
            changed = middle
    return changed
