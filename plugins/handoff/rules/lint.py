"""Everything that can be said about rule files without an Airflow: the files and their templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from handoff.answer import SOURCE as ANSWERS
from handoff.answer import TRIED
from handoff.consent import SERVICE
from handoff.rules.confirmation import ConfirmationRule
from handoff.rules.document import Document, Location
from handoff.rules.file import RuleFile, load_paths
from handoff.rules.problem import RuleProblem
from handoff.rules.steps import ActiveCampaignList, Email, OptIn, QuentnCampaign, Step, Survey
from handoff.rules.wording import problem_at
from handoff.texts.links import IN_CLEAR, in_clear, public_url
from handoff.texts.messages import Templates
from handoff.texts.opt_in_mail import opt_in_variables
from handoff.texts.survey_mail import survey_variables
from handoff.texts.template_check import AnyFact, check_text

CheckMessage = Callable[[str, tuple[str, ...], type[Step], "Shown"], list[str]]
CheckText = Callable[[str, "Shown"], list[str]]

OWN: dict[type[Step], Callable[[], dict[str, Any]]] = {Survey: survey_variables, OptIn: opt_in_variables}
"""Samples of what only the mails of a kind may use."""
MAILINGS: dict[type[Step], str] = {
    QuentnCampaign: "starts a campaign (Kampagne)",
    ActiveCampaignList: "subscribes to a list (Liste)",
}
"""What is seldom a service to somebody who did not ask for it."""


class Shown(NamedTuple):
    """What the templates of a rule may use: its source's anchors, an answer, and the details of its entries."""

    anchors: tuple[str, ...]
    answer: bool
    details: bool

    def given(self) -> dict[str, Any]:
        """Return samples of the further names."""
        return ({"answer": TRIED} if self.answer else {}) | ({"entry": AnyFact()} if self.details else {})


@dataclass(frozen=True, slots=True)
class Report:
    """What lint found.

    :param files: the valid rule files, also those with a problem in a template.
    :param warnings: what works as it is written, and is perhaps not meant so.
    """

    files: tuple[RuleFile, ...]
    problems: tuple[RuleProblem, ...]
    warnings: tuple[RuleProblem, ...] = ()


def lint(paths: Sequence[Path], templates: Path) -> Report:
    """Check rule files and the templates they name.

    :param paths: rule files and folders of rule files.
    :param templates: folder of the message templates.
    """
    files, problems = load_paths(paths)
    # Many rules name the same templates: each is checked once.
    message, small = cache(partial(_check_message, Templates(templates))), cache(_check_text)
    in_templates = [problem for file in files for problem in _check_templates(file, message, small)]
    warnings = tuple(warning for file in files for check in (_check_service, _check_links) for warning in check(file))
    return Report(tuple(files), (*problems, *in_templates, *_check_askers(files)), warnings)


def _check_service(file: RuleFile) -> Iterator[RuleProblem]:
    """Find what goes as service, so whatever the consent, to contacts that count as single opt-in."""
    rule = file.rule
    if rule.purpose != SERVICE or not rule.single_opt_in:
        return
    for index, step in enumerate(rule.steps):
        if type(step) in MAILINGS:
            what = f"{MAILINGS[type(step)]} as service, so nobody is asked for a consent; contacts of {rule.source} "
            what += "count as single opt-in"
            right = "for advertising add purpose: marketing and legal_basis: consent; what they booked for may stay"
            yield problem_at(file.path, Document.parse(file.text), ("steps", index), what=what, right=right)


def _check_links(file: RuleFile) -> Iterator[RuleProblem]:
    """Find mails whose link to unsubscribe is no good, where Airflow's public address is known."""
    url, rule = public_url(), file.rule
    if rule.purpose != SERVICE and url and in_clear(url) and any(isinstance(s, Email | Survey) for s in rule.steps):
        yield problem_at(file.path, Document.parse(file.text), ("purpose",), what=IN_CLEAR)


def _check_askers(files: Sequence[RuleFile]) -> Iterator[RuleProblem]:
    """Find rules that wait for a consent which nobody asks for; who asks may lie beside them, unchecked."""
    waiting = [(file, file.rule) for file in files if isinstance(file.rule, ConfirmationRule)]
    beside = load_paths(sorted({file.path.parent for file, _ in waiting}))[0]
    asking = {file.rule.id for file in (*files, *beside) if any(isinstance(s, OptIn) for s in file.rule.steps)}
    for file, rule in waiting:
        for index, asker in enumerate(rule.asked_by):
            if asker not in asking:
                what = f'no rule "{asker}" has a step opt_in, so that nothing can be confirmed'
                right = f"name one of: {', '.join(sorted(asking))}" if asking else "write a rule with the step opt_in"
                yield problem_at(file.path, Document.parse(file.text), ("asked_by", index), what=what, right=right)


def _check_templates(file: RuleFile, message: CheckMessage, small: CheckText) -> Iterator[RuleProblem]:
    shown = Shown(file.rule.anchors, file.rule.source == ANSWERS, file.rule.tells_details)
    found = [
        (("steps", index, *location), words)
        for index, step in enumerate(file.rule.steps)
        for location, words in _step_problems(step, shown, message, small)
    ]
    document = Document.parse(file.text) if found else None
    for location, words in found:
        if document is not None:
            yield problem_at(file.path, document, location, what=words)


def _check_message(
    templates: Templates, name: str, languages: tuple[str, ...], kind: type[Step], shown: Shown
) -> list[str]:
    given = shown.given() | OWN.get(kind, dict)()
    return templates.check(name, languages, given, shown.anchors)


def _check_text(template: str, shown: Shown) -> list[str]:
    return check_text(template, shown.anchors, shown.given())


def _step_problems(step: Step, shown: Shown, message: CheckMessage, small: CheckText) -> Iterable[tuple[Location, str]]:
    if isinstance(step, Email | Survey | OptIn):
        languages = ("de", "en") if step.language == "contact" else (step.language,)
        words_of = message(step.template, languages, type(step), shown)
        yield from ((("template",), words) for words in words_of)
    for name in step.rendered:
        given: str | dict[str, str] = getattr(step, name, "")
        texts: dict[Location, str] = (
            {(name,): given} if isinstance(given, str) else {(name, key): text for key, text in given.items()}
        )
        for location, text in texts.items():
            yield from ((location, words) for words in small(text, shown))
