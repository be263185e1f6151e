"""Everything that can be said about rule files without an Airflow: the files and their templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from handoff.messages import Templates
from handoff.rule_document import Document, Location
from handoff.rule_errors import problem_at
from handoff.rule_file import RuleFile, load_paths
from handoff.rule_problem import RuleProblem
from handoff.steps import Email, Step, Survey
from handoff.survey_mail import survey_variables
from handoff.template_check import check_text

CheckMessage = Callable[[str, tuple[str, ...], bool], list[str]]
CheckText = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """What lint found.

    :param files: the valid rule files, also those with a problem in a template.
    """

    files: tuple[RuleFile, ...]
    problems: tuple[RuleProblem, ...]


def lint(paths: Sequence[Path], templates: Path) -> Report:
    """Check rule files and the templates they name.

    :param paths: rule files and folders of rule files.
    :param templates: folder of the message templates.
    """
    files, problems = load_paths(paths)
    # Many rules name the same templates: each is checked once.
    message, small = cache(partial(_check_message, Templates(templates))), cache(check_text)
    in_templates = [problem for file in files for problem in _check_templates(file, message, small)]
    return Report(tuple(files), (*problems, *in_templates))


def _check_templates(file: RuleFile, message: CheckMessage, small: CheckText) -> Iterator[RuleProblem]:
    found = [
        (("steps", index, *location), words)
        for index, step in enumerate(file.rule.steps)
        for location, words in _step_problems(step, message, small)
    ]
    document = Document.parse(file.text) if found else None
    for location, words in found:
        if document is not None:
            yield problem_at(file.path, document, location, what=words)


def _check_message(templates: Templates, name: str, languages: tuple[str, ...], survey: bool) -> list[str]:
    return templates.check(name, languages, survey_variables() if survey else {})


def _step_problems(step: Step, message: CheckMessage, small: CheckText) -> Iterable[tuple[Location, str]]:
    if isinstance(step, Email | Survey):
        languages = ("de", "en") if step.language == "contact" else (step.language,)
        words_of = message(step.template, languages, isinstance(step, Survey))
        yield from ((("template",), words) for words in words_of)
    fields: dict[str, str] = getattr(step, "fields", {})
    for name, template in fields.items():
        yield from ((("fields", name), words) for words in small(template))
