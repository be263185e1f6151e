"""What a person is shown at the end: what was delivered to whom and how late, what was answered, who was left out."""

from __future__ import annotations

import os
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from handoff.rules.steps import InsightlyNote, Survey
from launch.comparison import Arrived
from launch.customer import Answered
from launch.expectation import Wanted
from launch.main_job import Outcome
from launch.reminders import Reminder
from launch.stack import Urls
from launch.verdicts import LeftOut

MOST_ROWS = 200
MOST_NAMES = 6
CLOCK = "%H:%M:%S"


def show(console: Console, outcome: Outcome, urls: Urls) -> None:
    """Print tables and counts."""
    console.print(_delivered(outcome))
    comparison = outcome.comparison
    if any(isinstance(wanted.step, Survey) for wanted, _ in comparison.rows):
        console.print(_surveys(outcome))
    if outcome.reminders:
        console.print(_appointments(outcome))
    console.print(
        f"[bold]expected {comparison.expected}, delivered {comparison.delivered}, missing {len(comparison.missing)}, "
        f"twice {len(comparison.twice)}, unexpected {len(comparison.unexpected)}[/bold]",
        style="green" if outcome.exact else "red",
    )
    for line in _troubles(outcome):
        console.print(line, style="red", markup=False)
    if outcome.left_out:
        console.print(_left_out(outcome.left_out))
    for line in _notes(outcome):
        console.print(line, markup=False)
    console.print(f"Airflow: {urls.ui}\nMails:   {urls.mails}", markup=False)


def commands_line(ledger_url: str) -> str:
    """Return what to type into another terminal, so that the commands there work on this run's ledger."""
    command = os.path.relpath(Path(sys.executable).parent / "handoff")
    return f"export HANDOFF_LEDGER_URL={shlex.quote(ledger_url)}; {shlex.quote(command)} pending"


def push_lines(push_url: str, sandbox_url: str) -> list[str]:
    """Return the address for eTermin's pushes, and what to type into another terminal to use it."""
    push = shlex.quote("COMMAND=MODIFIED&APPOINTMENTUID=a1")
    book = shlex.quote('{"start": "+1d1m", "firstname": "Eva", "lastname": "Muster", "email": "eva@example.org"}')
    return [
        f"Push URL: {push_url}",
        f"A push: curl -d {push} {shlex.quote(push_url)}",
        f"A booking, to be reminded of in a minute: curl -d {book} {sandbox_url}/_sandbox/etermin/book",
    ]


def _delivered(outcome: Outcome) -> Table:
    rows = outcome.comparison.rows
    table = Table(title="Delivered", title_justify="left")
    for name in ("rule", "contact", "step", "what", "due at", "delivered at"):
        table.add_column(name, overflow="fold")
    table.add_column("late (s)", justify="right")
    for wanted, at in rows[:MOST_ROWS]:
        table.add_row(
            wanted.rule.id, escape(wanted.contact), wanted.step.step, escape(_what(wanted)), _clock(wanted.due_at),
            _clock(at) if at else "[red]missing[/red]" if wanted.sure else "not needed",
            f"{(at - wanted.due_at).total_seconds():.2f}" if at else "",
        )  # fmt: skip
    if len(rows) > MOST_ROWS:
        table.caption = f"and {len(rows) - MOST_ROWS} more"
    return table


def _what(wanted: Wanted) -> str:
    if isinstance(wanted.step, InsightlyNote) and wanted.trace[1] == "note":
        return "note on the contact"
    return str(getattr(wanted.step, "template", "") or wanted.trace[2] or "contact data")


def _surveys(outcome: Outcome) -> Table:
    """Return one line for each person asked, from the mail to the note."""
    table = Table(title="Surveys", title_justify="left")
    for name in ("contact", "because of", "survey", "mail at", "answer at", "rating", "comment", "note at"):
        table.add_column(name, overflow="fold")
    answers = {one.asked.trace: one for one in outcome.answers}
    for wanted, mailed_at in outcome.comparison.rows[:MOST_ROWS]:
        if not isinstance(wanted.step, Survey):
            continue
        row = [escape(wanted.contact), escape(wanted.occasion.title), escape(wanted.step.survey), _at(mailed_at)]
        if (answered := answers.get(wanted.trace)) is not None:
            rating, comment = str(answered.reply.rating), answered.reply.comment
            row += [_clock(answered.at), escape(rating), escape(comment), _at(_noted_at(outcome, answered))]
        table.add_row(*row)
    return table


def _appointments(outcome: Outcome) -> Table:
    """Return one line for each reminder: what happened to its appointment, and what became of it."""
    table = Table(title="Appointments", title_justify="left")
    for name in ("contact", "appointment", "what happened", "rule", "first due at", "due at", "delivered at"):
        table.add_column(name, overflow="fold")
    for one in outcome.reminders[:MOST_ROWS]:
        news = ", ".join(f"{what} {_clock(at)}" for what, at in one.news)
        table.add_row(
            escape(one.contact), escape(one.title), news or "as it was", one.rule.id, _clock(one.first_due_at),
            _clock(one.due_at) if one.due_at else "never", _reminded(outcome, one),
        )  # fmt: skip
    return table


def _reminded(outcome: Outcome, one: Reminder) -> str:
    """Return when a reminder that is owed went out."""
    mine = one.rule.id, one.key
    rows = [at for wanted, at in outcome.comparison.rows if (wanted.rule.id, wanted.occasion.key) == mine]
    if not rows:
        return "later" if any((wanted.rule.id, wanted.occasion.key) == mine for wanted in outcome.later) else "–"
    arrived = [at for at in rows if at]
    return _clock(max(arrived)) if len(arrived) == len(rows) else "[red]missing[/red]"


def _noted_at(outcome: Outcome, answered: Answered) -> datetime | None:
    notes = (
        at
        for wanted, at in outcome.comparison.rows
        if wanted.trace[:2] == ("insightly", "note")
        and (wanted.contact, wanted.occasion.anchors.get("answered")) == (answered.asked.contact, answered.at)
    )
    return next(notes, None)


def _troubles(outcome: Outcome) -> Iterable[str]:
    comparison = outcome.comparison
    for words, some in (("twice", comparison.twice), ("unexpected", comparison.unexpected)):
        yield from (f"{words}: {_arrived(effect)}" for effect in some[:MOST_ROWS])
    if comparison.missing:
        yield from (f"not confirmed: {line}" for line in outcome.trouble)
    yield from outcome.unanswered
    yield from (f"wrong rule file: {problem}" for problem in outcome.problems)


def _arrived(effect: Arrived) -> str:
    return f"{' '.join(filter(None, effect.trace))}, {effect.contact or 'no contact'}, at {_clock(effect.at)}"


def _left_out(people: Iterable[LeftOut]) -> Table:
    groups: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for one in people:
        groups[one.rule_id, one.title, one.reason].append(one.who)
    table = Table(title="Left out", title_justify="left")
    for name in ("rule", "because of", "why"):
        table.add_column(name, overflow="fold")
    table.add_column("how many", justify="right")
    table.add_column("who", overflow="fold")
    for (rule, title, reason), names in groups.items():
        more = f", and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        table.add_row(rule, escape(title), reason, str(len(names)), escape(", ".join(names[:MOST_NAMES]) + more))
    return table


def _notes(outcome: Outcome) -> Iterable[str]:
    if outcome.paused:
        yield f"Paused in the UI, so nothing is expected of them: {', '.join(outcome.paused)}"
    if outcome.later:
        yield f"{len(outcome.later)} more effects are due later, the next at {_clock(outcome.later[0].due_at)}"


def _at(moment: datetime | None) -> str:
    return _clock(moment) if moment else "–"


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime(CLOCK)
