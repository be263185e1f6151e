"""A story: what happens in the sources, what goes wrong meanwhile, and nothing of what should come of it.

All moments are seconds from the start of the sandbox's world and multiples of 1/8, so that adding
them to a unix time is exact and two moments that are meant to be the same are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Target = Literal["kt", "kt_tag", "ac", "mail"]
Who = Literal["registered", "attended", "not_attended", "online", "not_online"]
Barred = Literal["", "no consent", "closed", "frozen"]
Then = Literal["hold", "send", "skip"]
Again = Literal["", "never", "in 30 days"]
FAR = 3600.0
"""What is due later than this is not waited for: it has to be planned rightly, no more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a date's list.

    :param person: who it is, whatever the spelling of the address; empty when nobody can be written to.
    :param stays: ``(joined, left)`` from the date's start; ``None``: never reported as gone.
    :param poison: KlickTipp refuses this person for good.
    """

    person: str
    email: str
    registered: float = -600.0
    stays: tuple[tuple[float, float | None], ...] = ()
    poison: bool = False
    language: str = "de"


@dataclass(frozen=True, slots=True)
class Plan:
    """A date as announced from ``since`` on."""

    since: float
    start: float
    end: float
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Date:
    """One webinar date with its plans in order: announced, perhaps moved, perhaps cancelled.

    :param across_dst: its start is given half a year earlier, on the other side of a change of the clocks, and
        rules count the days from there.
    """

    id: str
    webinar: str
    plans: tuple[Plan, ...]
    entries: tuple[Entry, ...]
    across_dst: bool = False

    @property
    def last(self) -> Plan:
        """The newest plan."""
        return self.plans[-1]


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule of a story.

    :param minutes: from the anchor; negative: before it. :param late_minutes: the rule's ``late_after``.
    :param barred: why nothing of it may go out, see :meth:`bars`: it is advertising to people who never agreed, its
        window opens on another day, or a person froze its targets.
    :param then: what becomes of what is later than ``late_minutes``. :param again: re-entry; empty: at every date.
    """

    id: str
    webinar: str
    who: Who
    anchor: Literal["start", "end"]
    minutes: int
    steps: tuple[Target, ...]
    percent: int = 50
    order: Literal["contact", "strict"] = "contact"
    group: str = ""
    late_minutes: int = 1440
    barred: Barred = ""
    then: Then = "hold"
    again: Again = ""

    def due(self, plan: Plan) -> float:
        """Return the rule's moment for a date so planned."""
        return (plan.start if self.anchor == "start" else plan.end) + 60.0 * self.minutes

    @property
    def grace(self) -> float:
        """Seconds after its moment until which something may go out."""
        return math.inf if self.then == "send" else self.late_minutes * 60.0

    def bars(self, step_no: int) -> bool:
        """Whether nothing of a step may go out; a window is about messages alone, and what follows them."""
        return bool(self.barred) and (self.barred != "closed" or "mail" in self.steps[: step_no + 1])

    def waits_for(self, date: Date) -> bool:
        """Whether the rule is about this date."""
        return self.webinar == date.webinar


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the sandbox, ordered at a moment; see sandbox/README.md."""

    at: float
    system: str
    fault: str
    count: int
    probability: float = 1.0
    seed: int = 1
    changing_only: bool = True
    retry_after: float | None = None
    seconds: float | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Blow:
    """Something done to our own processes, or the end of what was done to others.

    ``kill`` a worker and start it again after ``seconds``; ``suspend`` one for so long, as when its machine
    sleeps; ``postgres``: kill the database, which starts again at once; ``jump``: a worker's clock is wrong
    by ``seconds`` from then on; ``repair``: all faults of the sandbox are over. What an operator does by command:
    ``freeze`` a scope and thaw it after ``seconds``; ``erase`` a person; ``rejudge`` a rule that has other tags now.

    :param about: the scope, the address or the rule's id.
    """

    at: float
    kind: Literal["kill", "suspend", "postgres", "jump", "repair", "freeze", "erase", "rejudge"]
    worker: int = 0
    seconds: float = 0.0
    about: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A webhook about a date: what its plan number ``plan`` said, whenever it comes and however often."""

    at: float
    date: str
    plan: int


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that happens.

    :param dropped: spans in which polls of the source are lost.
    :param latency: seconds by which targets' answers are late. :param limit: ActiveCampaign's calls a second.
    :param bulk: from how many waiting contacts on ActiveCampaign gets a bulk import; 0 never.
    :param presence_lag: seconds until the source shows who came or went. :param settling: until a target is read back.
    :param polls: the source is polled. :param sweep: the sweep runs.
    :param quota: how many calls a day ActiveCampaign's account allows.
    """

    seed: int
    dates: tuple[Date, ...]
    rules: tuple[RuleLine, ...]
    faults: tuple[Fault, ...] = ()
    blows: tuple[Blow, ...] = ()
    reports: tuple[Report, ...] = ()
    dropped: tuple[tuple[float, float], ...] = ()
    workers: int = 2
    latency: float = 0.0
    limit: int | None = None
    bulk: int = 0
    presence_lag: float = 0.0
    settling: float = 0.25
    polls: bool = True
    sweep: bool = True
    quota: int | None = None

    def done(self, kind: str) -> tuple[Blow, ...]:
        """Return the blows of one kind."""
        return tuple(blow for blow in self.blows if blow.kind == kind)

    @property
    def erased(self) -> str:
        """The address of the person who is erased, empty when nobody is."""
        return next((blow.about for blow in self.done("erase")), "")

    @property
    def last_moment(self) -> float:
        """When the last thing that is waited for happens."""
        moments = [0.0]
        for date in self.dates:
            moments += [plan.since for plan in date.plans]
            moments += [rule.due(plan) for rule in self.rules for plan in date.plans if rule.waits_for(date)]
        moments += [fault.at for fault in self.faults]
        moments += [blow.at + blow.seconds for blow in self.blows if blow.kind != "jump"]
        moments += [report.at for report in self.reports]
        moments += [end for _, end in self.dropped]
        return max(moment for moment in moments if moment < FAR)


def tell(story: Story) -> str:
    """Return the story for people, one thing that happens a line."""
    lines = [f"  {name} {value}" for name, value in _odd(story)]
    for rule in story.rules:
        lines.append("  rule " + _plain(rule))
    for date in story.dates:
        lines.append(
            f"  date {date.id} of {date.webinar}{' across DST' * date.across_dst}: {list(map(_plain, date.plans))}"
        )
        lines += [f"    {_plain(entry)}" for entry in date.entries]
    happens: list[Fault | Blow | Report] = [*story.faults, *story.blows, *story.reports]
    lines += [f"  {type(one).__name__.lower()} {_plain(one)}" for one in sorted(happens, key=lambda one: one.at)]
    lines += [f"  polls dropped from {begin} to {end}" for begin, end in story.dropped]
    return "\n".join(lines)


def _odd(story: Story) -> Sequence[tuple[str, Any]]:
    names = ("workers", "latency", "limit", "bulk", "presence_lag", "settling", "polls", "sweep", "quota")
    return [(name, getattr(story, name)) for name in names]


def _plain(thing: Any) -> str:
    return " ".join(f"{name}={value}" for name, value in asdict(thing).items() if value not in ((), "", None, False))
