"""How texts are rendered: one sandboxed Jinja2 environment, strict about every unknown name.

Templates see three names: ``contact`` (the fields of :class:`~handoff.contact.Contact`),
``occasion`` (``title``, ``key``, ``series``, ``timezone``, ``facts`` and each anchor as an
aware datetime, so ``start`` and ``end`` for a webinar) and ``rule`` (:class:`RuleFacts`).
"""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import (
    FileSystemLoader,
    StrictUndefined,
    TemplateNotFound,
    TemplateRuntimeError,
    TemplateSyntaxError,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from handoff.contact import Contact
from handoff.errors import TemplateError
from handoff.occasion import Occasion
from handoff.texts.template_dates import FILTERS

Variables = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """What a template may know of its rule.

    :param language: the language of contacts whose own language has no template.
    :param purpose: what its messages are for: ``service``, ``survey`` or ``marketing``.
    :param legal_basis: why these may be sent: ``consent`` or ``existing_customer``; empty for ``service``.
    """

    id: str = ""
    title: str = ""
    language: str = "de"
    purpose: str = "service"
    legal_basis: str = ""


def variables_of(contact: Contact, occasion: Occasion, rule: RuleFacts) -> dict[str, Any]:
    """Return the names that a template sees for one effect."""
    shown = SimpleNamespace(
        **occasion.anchors,
        title=occasion.title,
        key=occasion.key,
        series=occasion.series,
        timezone=occasion.timezone,
        facts=occasion.facts,
    )
    return {"contact": contact, "occasion": shown, "rule": rule}


def environment(folder: Path | None = None) -> ImmutableSandboxedEnvironment:
    """Return the environment for the templates in ``folder``, or for short texts when there is none.

    ``*.html.j2`` is escaped automatically, everything else is plain text.
    """
    env = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folder) if folder else None,
        undefined=Unknown,
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    env.filters.update(FILTERS)
    return env


def render_text(template: str, variables: Variables) -> str:
    """Render one short template, such as the value of a contact field in a rule.

    :raises TemplateError: when it does not parse, or names something that does not exist.
    """
    try:
        return _TEXTS.from_string(template).render(**variables)
    except Exception as error:
        raise error_of(error, "template", variables) from None


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or nothing."""
    near = difflib.get_close_matches(wrong, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def error_of(error: Exception, where: str, variables: Variables | None = None) -> TemplateError:
    """Translate what Jinja2 raised into an error that names file, line and cause, but no contact data.

    :param where: the file to blame when the error does not say which it was.
    :param variables: what the template was rendered with: a name it looked up may be the contact's.
    """
    if isinstance(error, TemplateError):
        return error
    if isinstance(error, TemplateNotFound):
        missing = _without_contact(repr(error.name), variables)
        return TemplateError(f"{where}: extends or includes {missing}, which is missing")
    if isinstance(error, TemplateSyntaxError):
        return TemplateError(f"{error.name or where}:{error.lineno}: {_syntax_words(error)}")
    file, line = _place(error, where)
    # Other errors may quote the value that they stumbled over, so only their kind is told.
    words = error.message if isinstance(error, TemplateRuntimeError) else f"cannot be rendered ({type(error).__name__})"
    return TemplateError(f"{file}:{line}: {_without_contact(words or '', variables)}")


def _without_contact(words: str, variables: Variables | None) -> str:
    contact = (variables or {}).get("contact")
    return contact.left_out_of(words) if isinstance(contact, Contact) else words


def _syntax_words(error: TemplateSyntaxError) -> str:
    words = (error.message or "does not parse").rstrip(".")
    unknown = re.search(r"No filter named '(\w+)'", words)
    return words + did_you_mean(unknown[1], _TEXTS.filters) if unknown else words


def _place(error: Exception, where: str) -> tuple[str, int]:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith((".j2", "<template>"))]
    if not frames:
        return where, 1
    name = Path(frames[-1].filename).name
    return (name if name.endswith(".j2") else where), frames[-1].lineno or 1


class Unknown(StrictUndefined):
    """A name that does not exist; using it in any way is an error that proposes the nearest name."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        name = str(self._undefined_name)
        if self._undefined_hint:
            return self._undefined_hint
        # A subscript may have been computed from a contact's data; only plain names are repeated.
        shown = repr(name) if name.isidentifier() else "that name"
        known = [n for n in _names(self._undefined_obj) if not n.startswith("_")]
        return f"unknown variable {shown}{did_you_mean(name, known)}"


def _names(thing: Any) -> Iterable[str]:
    if isinstance(thing, Mapping):
        return [str(key) for key in thing]
    return dir(thing) if isinstance(thing, (Contact, RuleFacts, SimpleNamespace)) else ()


_TEXTS = environment()
