"""The page that confirms a consent: its wording and one button; it needs no script."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from types import SimpleNamespace

from fastapi.responses import HTMLResponse

from handoff.ledger.opt_ins import OptedIn
from handoff.texts.templates import render_text
from web.public_page import public_page


@dataclass(frozen=True, slots=True)
class Words:
    """The page's texts in one language, plain text.

    :param before: a template with ``at``, a moment, written as mails do, and ``utc``, its time.
    """

    language: str
    title: str
    question: str
    button: str
    hint: str
    thanks: str
    stored: str
    before: str
    expired: str
    expired_hint: str


GERMAN = Words(
    language="de",
    title="Bitte bestätigen Sie Ihre Einwilligung",
    question="Sie willigen in Folgendes ein:",
    button="Ja, ich willige ein",
    hint="Erst mit der Schaltfläche wird Ihre Einwilligung gespeichert, mit Zeitpunkt und IP-Adresse als Nachweis. "
    "Sie können sie jederzeit widerrufen. Möchten Sie nicht einwilligen, schließen Sie diese Seite einfach.",
    thanks="Vielen Dank!",
    stored="Ihre Einwilligung ist gespeichert. Sie können dieses Fenster schließen.",
    before="Diese Bestätigung wurde am {{ at | datum }} um {{ at | uhrzeit }} gespeichert ({{ utc }} UTC). "
    "Es ist nichts weiter zu tun.",
    expired="Dieser Link ist abgelaufen",
    expired_hint="Gespeichert wurde nichts. Wenn Sie einwilligen möchten, melden Sie sich bitte erneut an.",
)
ENGLISH = Words(
    language="en",
    title="Please confirm your consent",
    question="You agree to the following:",
    button="Yes, I agree",
    hint="Your consent is stored only when you press the button, with the time and your IP address as proof. "
    "You can withdraw it at any time. If you do not agree, just close this page.",
    thanks="Thank you!",
    stored="Your consent is stored. You can close this window.",
    before="This confirmation was stored on {{ at | date }} at {{ at | time }} ({{ utc }} UTC). "
    "There is nothing more to do.",
    expired="This link has expired",
    expired_hint="Nothing was stored. If you would like to agree, please sign up again.",
)


def opt_in_page(asked: OptedIn, *, news: bool = False) -> HTMLResponse:
    """Return the page as things stand: the button, what was stored, or that the link has expired.

    :param news: whether it was confirmed just now.
    """
    words = ENGLISH if asked.language == "en" else GERMAN
    if news:
        return _said(words, words.thanks, words.stored, 200)
    if asked.confirmed_at is not None:
        return _said(words, words.thanks, _before(words, asked, asked.confirmed_at), 200)
    if asked.expired:
        return _said(words, words.expired, words.expired_hint, 410)
    body = f"""<h1>{escape(words.title)}</h1>
<p>{escape(words.question)}</p>
<blockquote style="margin: 0 0 20px; padding: 12px 16px; border-left: 4px solid #1d4ed8; white-space: pre-line">\
{escape(asked.wording)}</blockquote>
<form method="post"><p><button type="submit">{escape(words.button)}</button></p></form>
<p class="hint">{escape(words.hint)}</p>"""
    return public_page(words.language, words.title, body)


def _before(words: Words, asked: OptedIn, at: datetime) -> str:
    contact, occasion = SimpleNamespace(timezone=asked.own_zone), SimpleNamespace(timezone=asked.zone)
    shown = {"contact": contact, "occasion": occasion, "at": at, "utc": f"{at.astimezone(UTC):%H:%M:%S}"}
    return render_text(words.before, shown)


def _said(words: Words, title: str, sentence: str, status: int) -> HTMLResponse:
    return public_page(words.language, title, f"<h1>{escape(title)}</h1>\n<p>{escape(sentence)}</p>", status)
