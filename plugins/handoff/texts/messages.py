"""E-mail texts: ``<name>.<language>.html.j2`` and ``<name>.<language>.txt.j2`` in one folder.

The text file's ``subject`` block is the subject (see ``include/templates/README.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import css_inline
from jinja2 import Template

from handoff.errors import TemplateError
from handoff.texts.links import Links
from handoff.texts.template_check import WEBINAR, check_source, references, samples
from handoff.texts.templates import Variables, did_you_mean, environment, error_of

DEFAULT_LANGUAGE = "de"
RENDERED = ("language", "subject", "unsubscribe_url")
"""Names that a message's own files may use besides those of every template."""


@dataclass(frozen=True, slots=True)
class Message:
    """One rendered message.

    :param subject: one line, trimmed, without control characters.
    :param html: a complete document with its CSS in ``style`` attributes.
    :param language: the language that was written, ``"de"`` or ``"en"``.
    """

    subject: str
    html: str
    text: str
    language: str


class Templates:
    """The messages in one folder. Files are read once per instance.

    :param folder: where the templates are, e.g. ``include/templates``.
    :param links: makes the links in them that lead back here; ``None`` where nothing is sent that needs one.
    """

    def __init__(self, folder: Path, links: Links | None = None) -> None:
        self.folder, self.links = folder, links
        self._env = environment(folder)
        # No file and no network beyond the template itself: a link to a stylesheet stays a link.
        self._inliner = css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True, keep_link_tags=True)

    def names(self) -> list[str]:
        """Return the names of all messages in the folder, sorted."""
        return sorted({path.name.split(".")[0] for path in self.folder.glob("[!_]*.j2")})

    def render(self, name: str, language: str, variables: Variables) -> Message:
        """Render a message in the first language that has it: ``language``, the rule's, German.

        :param variables: see :func:`handoff.texts.templates.variables_of`; ``unsubscribe_url`` is empty unless given.
        :raises TemplateError: naming file, line and what is wrong; never a contact's data.
        """
        language = self._language(name, language, variables["rule"].language)
        known: dict[str, Any] = {"unsubscribe_url": "", **variables, "language": language}
        text_file = f"{name}.{language}.txt.j2"
        known["subject"] = self._subject(text_file, known)
        text = self._render(text_file, known)
        html = self._render(f"{name}.{language}.html.j2", known)
        return Message(known["subject"], self._inliner.inline(html), text.strip() + "\n", language)

    def check(
        self,
        name: str,
        languages: tuple[str, ...] = ("de", "en"),
        given: Variables = MappingProxyType({}),
        anchors: Sequence[str] = WEBINAR,
    ) -> list[str]:
        """Return the problems of a message without sending it, one sentence each; empty when it is sound.

        :param given: samples of what this message may use besides the names of every message.
        :param anchors: the moments that the occasions it is about have.
        """
        if name not in self.names():
            return [f"template {name!r} is missing in {self.folder.name}{did_you_mean(name, self.names())}"]
        files = [f"{name}.{language}.{kind}.j2" for language in languages for kind in ("html", "txt")]
        shown = [one | dict(given) for one in samples(anchors)]
        problems = [problem for file in files for problem in self._check_file(file, set(), shown[0])]
        return list(dict.fromkeys(problems)) or self._dry_run(name, languages, shown)

    def _check_file(self, file: str, visited: set[str], shown: Variables) -> list[str]:
        if file in visited:
            return []
        visited.add(file)
        path = self.folder / file
        if not path.is_file():
            return [f"{file}: missing in {self.folder.name}"]
        source = path.read_text("utf-8")
        problems = check_source(self._env, source, file, shown, RENDERED)
        if problems:
            return problems
        others = references(self._env, source)
        return [problem for other in others for problem in self._check_file(other, visited, shown)]

    def _dry_run(self, name: str, languages: tuple[str, ...], shown: list[dict[str, Any]]) -> list[str]:
        problems = []
        for language in languages:
            for variables in (*shown, shown[0] | {"unsubscribe_url": "https://example.org/unsubscribe"}):
                try:
                    self.render(name, language, variables)
                except TemplateError as error:
                    problems.append(str(error))
        return list(dict.fromkeys(problems))

    def _language(self, name: str, *wanted: str) -> str:
        for language in (*wanted, DEFAULT_LANGUAGE):
            if language and (self.folder / f"{name}.{language}.txt.j2").is_file():
                return language
        hint = did_you_mean(name, self.names())
        raise TemplateError(f"{name}.{DEFAULT_LANGUAGE}.txt.j2: missing in {self.folder.name}{hint}")

    def _load(self, file: str) -> Template:
        try:
            return self._env.get_template(file)
        except Exception as error:
            raise error_of(error, file) from None

    def _render(self, file: str, variables: Variables) -> str:
        template = self._load(file)
        try:
            return template.render(**variables)
        except Exception as error:
            raise error_of(error, file, variables) from None

    def _subject(self, file: str, variables: Variables) -> str:
        template = self._load(file)
        block = template.blocks.get("subject")
        if block is None:
            raise TemplateError(f"{file}:1: has no subject; add {{% block subject %}}...{{% endblock %}}")
        try:
            subject = one_line("".join(block(template.new_context(dict(variables)))))
        except Exception as error:
            raise error_of(error, file, variables) from None
        if not subject:
            raise TemplateError(f"{file}:1: the subject is empty")
        return subject


def one_line(text: str) -> str:
    """Return the text as one trimmed line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
