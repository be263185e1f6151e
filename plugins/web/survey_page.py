"""The survey's page: the scale from 0 to 10, a comment, a button; a form that needs no script."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from fastapi.responses import HTMLResponse

from handoff.answer import RATINGS
from web.survey_words import Words

# No script at all, nothing from elsewhere, in nobody's frame; the address is a secret of the person's.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}
_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ max-width: 640px; margin: 0 auto; padding: 24px 16px; color: CanvasText; font: 16px/1.5 system-ui, sans-serif }}
h1 {{ font-size: 22px; line-height: 1.3 }}
fieldset {{ margin: 0 0 20px; padding: 0; border: 0 }}
legend {{ padding: 0 0 12px; font-weight: 600 }}
.scale {{ display: grid; grid-template-columns: repeat(11, 1fr); gap: 6px }}
@media (max-width: 520px) {{ .scale {{ grid-template-columns: repeat(6, 1fr) }} }}
.scale label {{ padding: 8px 0; border: 1px solid GrayText; border-radius: 8px; text-align: center }}
.scale input {{ display: block; margin: 0 auto 4px }}
.ends {{ display: flex; justify-content: space-between; margin: 6px 0 0; font-size: 14px }}
.hint {{ font-size: 14px }}
.problem {{ padding: 12px; border: 2px solid #b91c1c; border-radius: 8px; font-weight: 600 }}
textarea {{ box-sizing: border-box; width: 100%; margin: 6px 0 20px; padding: 8px; font: inherit }}
button {{ padding: 12px 24px; border: 0; border-radius: 8px; background: #1d4ed8; color: #fff; font: inherit }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


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
    return frame(words.language, words.title, "\n".join((*_head(words, form), _form(words, form))), status)


def frame(language: str, title: str, body: str, status: int) -> HTMLResponse:
    """Return a page that anybody with its link may open.

    :param title: plain text. :param body: HTML, escaped by the caller.
    """
    return HTMLResponse(_PAGE.format(language=language, title=escape(title), body=body), status, HEADERS)


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
