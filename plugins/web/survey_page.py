"""The survey's page: the scale from 0 to 10, a comment, a button; a form that needs no script."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from fastapi.responses import HTMLResponse

from handoff.answer import RATINGS
from web.public_page import public_page
from web.survey_words import Words


@dataclass(frozen=True, slots=True)
class Form:
    """What the form shows.

    :param rating: marked; ``None`` for none. :param comment: plain text, as it is in the field.
    :param problem: a sentence about what was sent, empty when nothing is wrong with it.
    :param stored: whether this answer is stored, so that the form is there to change it.
    """

    rating: int | None = None
    comment: str = ""
    problem: str = ""
    stored: bool = False


def survey_page(words: Words, form: Form, status: int = 200) -> HTMLResponse:
    """Return the page with the form."""
    return public_page(words.language, words.title, "\n".join((*_head(words, form), _form(words, form))), status)


def _head(words: Words, form: Form) -> list[str]:
    if form.stored:
        return [_tag("h1", words.thanks), _tag("p", words.stored), _tag("p", words.change)]
    problem = [f'<p class="problem" role="alert">{escape(form.problem)}</p>'] if form.problem else []
    return [_tag("h1", words.title), *problem]


def _form(words: Words, form: Form) -> str:
    choices = "\n".join(_choice(score, score == form.rating) for score in RATINGS)
    # Without its own query the address is the same, and the choice is the form's.
    return f"""<form method="post" action="?">
<fieldset>
<legend>{escape(words.question)}</legend>
<div class="scale">
{choices}
</div>
<p class="ends"><span>{escape(words.lowest)}</span><span>{escape(words.highest)}</span></p>
</fieldset>
<label for="comment">{escape(words.comment)}</label>
<textarea id="comment" name="comment" rows="6">
{escape(form.comment)}</textarea>
<p><button type="submit">{escape(words.send_again if form.stored else words.send)}</button></p>
{"" if form.stored else f'<p class="hint">{escape(words.hint)}</p>'}
</form>"""


def _choice(score: int, chosen: bool) -> str:
    checked = " checked" if chosen else ""
    return f'<label><input type="radio" name="rating" value="{score}"{checked}>{score}</label>'


def _tag(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"
