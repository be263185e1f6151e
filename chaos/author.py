"""Makes a story from a seed: the same seed, the same story."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from chaos.oracle import address
from chaos.story import Again, Barred, Blow, Date, Entry, Fault, Plan, Report, RuleLine, Story, Target, Then, Who

STEPS: tuple[tuple[Target, ...], ...] = (
    ("kt",), ("kt", "ac"), ("kt", "kt_tag", "mail"), ("ac", "mail"), ("kt", "ac", "mail"), ("mail",), ("ac", "kt_tag"),
)  # fmt: skip
HTTP_FAULTS = (
    "commit_then_drop",
    "drop_before_commit",
    "500",
    "503",
    "429",
    "malformed",
    "html",
    "empty",
    "slow",
    "hang",
)
MAIL_FAULTS = ("commit_then_drop", "drop_before_commit", "500", "503", "429", "slow")
UNUSABLE = ("", "  ", "keine@", "a b@example.org", "@example.org", "doppelt@@example.org")
LENGTHS = {"A": 120.0, "B": 180.0}
"""How long a webinar takes, in seconds: whole minutes, so that the start leads to the same moments as the end."""
LAST_DUE = 3.5
BARS: tuple[Barred, ...] = ("",) * 14 + ("closed", "no consent")


def write(seed: int) -> Story:
    """Return the story of a seed."""
    return Author(seed).story()


def after_registration(entry: Entry, start: float) -> Entry:
    """Return the entry as it is possible: nobody is there before being registered.

    :param start: the earliest start that the date ever has.
    """
    first = max(0.0, entry.registered - start)
    stays = tuple((max(first, joined), left) for joined, left in entry.stays if left is None or left > first)
    return replace(entry, stays=stays)


class Author:
    """Throws the dice of one story."""

    def __init__(self, seed: int) -> None:
        self._seed, self._dice = seed, random.Random(seed)

    def story(self) -> Story:
        """Make the story."""
        dice = self._dice
        dates = tuple(self._date(number) for number in range(dice.choice((1, 1, 2, 2, 3))))
        rules = self._rules(dates)
        story = Story(
            seed=self._seed, dates=dates, rules=rules, faults=self._faults(), reports=self._reports(dates),
            dropped=self._dropped(), workers=dice.choice((1, 2, 2, 3)), latency=dice.choice((0.0, 0.0, 0.02, 0.1)),
            limit=dice.choice((None, None, None, 25)), bulk=dice.choice((0, 0, 0, 4)),
            presence_lag=dice.choice((0.0, 0.0, 0.5)), settling=dice.choice((0.125, 0.25, 0.5)),
        )  # fmt: skip
        story = replace(story, blows=self._blows(story.workers))
        story = replace(story, rules=tuple(self._policies(rule) for rule in story.rules))
        return replace(story, blows=(*story.blows, *self._commands(story)))

    def _moment(self, first: float, last: float) -> float:
        """Return a moment on the grid of eighths."""
        return self._dice.randrange(round(first * 8), round(last * 8) + 1) / 8

    def _date(self, number: int) -> Date:
        dice = self._dice
        webinar, end = dice.choice("AAB"), self._moment(1.5, LAST_DUE)
        length = LENGTHS[webinar]
        first = Plan(0.0, end - length, end)
        if dice.random() < 0.1:
            first = Plan(0.0, 7200.0 + end, 7200.0 + end + length)
        plans = [first]
        if dice.random() < 0.3:
            since, later = self._moment(0.25, 3.0), self._moment(2.0, LAST_DUE + 1)
            plans.append(Plan(since, later - length, later))
        if dice.random() < 0.25:
            since = self._moment(max(0.0, plans[-1].since), 4.0)
            plans.append(Plan(since, plans[-1].start, plans[-1].end, cancelled=True))
        across = dice.random() < 0.15 and len(plans) == 1 and first.end < 7200
        plan = Plan(0.0, end, end + length) if across else None
        listed = self.entries(number, plans[-1].end - plans[-1].start)
        entries = tuple(after_registration(entry, min(plan.start for plan in plans)) for entry in listed)
        return Date(
            f"d{number}", f"Z{number}" if across else webinar, (plan,) if plan else tuple(plans), entries, across
        )

    def entries(self, number: int, length: float) -> tuple[Entry, ...]:
        """Make a date's list: people, some of them twice, and some who cannot be written to."""
        dice = self._dice
        entries = [self._entry(f"p{n}.{number}", length) for n in range(dice.randrange(1, 11))]
        if dice.random() < 0.4:
            entries.append(self._entry("stammgast", length))
        if dice.random() < 0.5:
            twice = dice.choice(entries)
            again = self._entry(twice.person, length)
            entries.append(replace(again, email=self._spelling(twice.email), poison=twice.poison))
        if dice.random() < 0.4:
            entries.append(Entry("", dice.choice(UNUSABLE), self._registered()))
        return tuple(entries)

    def _entry(self, person: str, length: float) -> Entry:
        poison = self._dice.random() < 0.05 and person != "stammgast"
        domain = "blocked.example" if poison else "example.org"
        language = self._dice.choice(("de", "de", "en", ""))
        return Entry(person, f"{person}@{domain}", self._registered(), self._stays(length), poison, language)

    def _spelling(self, email: str) -> str:
        return self._dice.choice((email, email.upper(), f"  {email} ", email.title()))

    def _registered(self) -> float:
        return self._dice.choice((-600.0, -600.0, -600.0, -30.0, self._moment(0.0, 4.0)))

    def _stays(self, length: float) -> tuple[tuple[float, float | None], ...]:
        """Stays whose ends lie on, just before and just after the moments that count, or anywhere."""
        dice = self._dice
        kind = dice.randrange(8)
        if kind == 0:
            return ()
        if kind == 1:
            return ((0.0, None),)
        if kind == 2:  # leaves or joins at the very moment, or next to it
            edge = length + dice.choice((-0.125, 0.0, 0.125))
            return ((length / 4, edge),) if dice.random() < 0.5 else ((edge, None),)
        if kind == 3:  # exactly, just over and just under the share
            return ((0.0, length / 2 + dice.choice((-0.125, 0.0, 0.125))),)
        jitter = sorted(self._moment(0.0, length + 1) for _ in range(2 * dice.randrange(1, 4)))
        return tuple(zip(jitter[::2], jitter[1::2], strict=True))

    def _rules(self, dates: Sequence[Date]) -> tuple[RuleLine, ...]:
        rules: list[RuleLine] = []
        for webinar in sorted({date.webinar for date in dates if not date.across_dst}):
            rules += self._rules_of(webinar, len(rules))
        for date in dates:
            if date.across_dst:
                rules.append(RuleLine(f"r{len(rules)}", date.webinar, "registered", "start", 0, self._steps()))
        return tuple(rules)

    def _rules_of(self, webinar: str, first: int) -> list[RuleLine]:
        dice = self._dice
        group = dice.choice(("", "", f"g{webinar.lower()}"))
        kind = dice.randrange(4)
        pairs: dict[int, tuple[Who, ...]] = {
            0: ("online", "not_online"), 1: ("attended", "not_attended"), 2: ("registered",),
            3: ("registered", "online"),
        }  # fmt: skip
        anchor: Literal["start", "end"] = dice.choice(("start", "end", "end"))
        minutes = dice.choice((0, 0, 0, -1)) + (round(LENGTHS[webinar] / 60) if anchor == "start" else 0)
        late = dice.choice((1440, 1440, 1440, 1, 2))
        order: Literal["contact", "strict"] = "strict" if dice.random() < 0.2 else "contact"
        return [
            RuleLine(f"r{first + n}", webinar, who, anchor, minutes, self._steps(), 50, order, group, late)
            for n, who in enumerate(pairs[kind])
        ]

    def _steps(self) -> tuple[Target, ...]:
        return self._dice.choice(STEPS)

    def _faults(self) -> tuple[Fault, ...]:
        dice = self._dice
        faults = []
        for _ in range(dice.choice((0, 0, 1, 1, 2, 3))):
            system = dice.choice(("klicktipp", "klicktipp", "activecampaign", "activecampaign", "email", "webinaris"))
            fault = dice.choice(MAIL_FAULTS if system == "email" else HTTP_FAULTS)
            faults.append(
                Fault(
                    self._moment(0.0, 3.0),
                    system,
                    fault,
                    dice.randrange(1, 6),
                    dice.choice((0.3, 0.6, 1.0)),
                    dice.randrange(1000),
                    system != "webinaris" and dice.random() < 0.7,
                    retry_after=0.5 if fault == "429" and dice.random() < 0.5 else None,
                    seconds={"slow": 0.75, "hang": 2.5}.get(fault),
                )  # fmt: skip
            )
        return tuple(faults)

    def _blows(self, workers: int) -> tuple[Blow, ...]:
        dice = self._dice
        blows = []
        for _ in range(dice.choice((0, 0, 1, 1, 2))):
            worker = dice.randrange(workers)
            match dice.choice(("kill", "kill", "kill", "suspend", "postgres", "jump")):
                case "kill":
                    blows.append(Blow(self._moment(0.25, 4.0), "kill", worker, self._moment(0.125, 1.0)))
                case "suspend":
                    blows.append(Blow(self._moment(0.5, 4.0), "suspend", worker, self._moment(0.5, 3.5)))
                case "postgres":
                    blows.append(Blow(self._moment(0.5, 4.0), "postgres"))
                case _:
                    blows.append(Blow(self._moment(0.0, 3.0), "jump", worker, dice.choice((-2.0, -0.5, 0.5, 2.0))))
        return tuple(blows)

    def _policies(self, rule: RuleLine) -> RuleLine:
        """Return the rule with what it says of lateness, re-entry, windows and consent."""
        dice = self._dice
        again: Again = dice.choice(("", "", "", "never", "in 30 days"))
        then: Then = dice.choice(("hold", "hold", "send", "skip"))
        barred = dice.choice(BARS)
        # In a lane that several rules share, one would keep the others' effects waiting; a window needs a message.
        if rule.group or (barred == "closed" and "mail" not in rule.steps):
            barred = ""
        return replace(rule, again=again, then=then, barred=barred)

    def _commands(self, story: Story) -> tuple[Blow, ...]:
        """What an operator does meanwhile."""
        dice, blows = self._dice, []
        if dice.random() < 0.15:
            scopes = ["all", *(f"rule:{rule.id}" for rule in story.rules), "account:klicktipp_default"]
            seconds = dice.choice((1.0, 2.5, 4.0))
            blows.append(Blow(self._moment(1.0, 4.0), "freeze", seconds=seconds, about=dice.choice(scopes)))
        if dice.random() < 0.15:
            people = sorted({address(entry) for date in story.dates for entry in date.entries if entry.person})
            blows.append(Blow(self._moment(0.5, 5.0), "erase", about=dice.choice(people)))
        if dice.random() < 0.15:
            blows.append(Blow(self._moment(0.75, 4.0), "rejudge", about=dice.choice(story.rules).id))
        return tuple(blows)

    def _reports(self, dates: Sequence[Date]) -> tuple[Report, ...]:
        """Webhooks: some twice, some late, some in the wrong order."""
        dice = self._dice
        reports = []
        for date in dates:
            for number, plan in enumerate(date.plans):
                for _ in range(dice.choice((0, 0, 1, 2)) if not date.across_dst else 0):
                    reports.append(Report(self._moment(plan.since, max(plan.since, 4.0)), date.id, number))
        return tuple(reports)

    def _dropped(self) -> tuple[tuple[float, float], ...]:
        if self._dice.random() < 0.7:
            return ()
        begin = self._moment(0.25, 2.0)
        return ((begin, begin + self._moment(0.5, 3.0)),)
