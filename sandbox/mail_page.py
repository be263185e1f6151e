"""The pages on which a person reads the accepted mails; German or English after Accept-Language."""

from __future__ import annotations

from collections.abc import Iterable
from email.message import EmailMessage
from html import escape

from aiohttp import web

from sandbox.clock import german_second
from sandbox.mailbox import Mail
from sandbox.page import Words, language, render
from sandbox.world import World

WORDS: dict[str, Words] = {
    "de": {
        "title": "Angekommene E-Mails", "to": "An", "subject": "Betreff", "time": "Zeit", "none": "Noch keine E-Mail.",
        "back": "Alle E-Mails", "headers": "Kopfzeilen", "text": "Text", "html": "HTML", "no_subject": "(ohne Betreff)",
        "missing": "Diese E-Mail gibt es nicht.",
    },
    "en": {
        "title": "Received e-mails", "to": "To", "subject": "Subject", "time": "Time", "none": "No e-mail yet.",
        "back": "All e-mails", "headers": "Headers", "text": "Text", "html": "HTML", "no_subject": "(no subject)",
        "missing": "There is no such e-mail.",
    },
}  # fmt: skip
SHOWN_AT_MOST = 500


class MailPages:
    """The list and the single mail."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def listing(self, request: web.Request) -> web.Response:
        """``GET /_sandbox/mails``: newest first, at most 500."""
        spoken = language(request)
        words = WORDS[spoken]
        newest = self._world.mailbox.mails[: -SHOWN_AT_MOST - 1 : -1]
        content = _table(newest, words) if newest else f"<p class='quiet'>{escape(words['none'])}</p>"
        title = f"{words['title']} ({len(self._world.mailbox.mails)})"
        return render(spoken, title, content)

    async def single(self, request: web.Request) -> web.Response:
        """``GET /_sandbox/mails/{number}``."""
        spoken = language(request)
        words = WORDS[spoken]
        number = request.match_info["number"]
        mail = self._world.mailbox.mail(int(number)) if number.isascii() and number.isdigit() else None
        back = f"<p><a href='/_sandbox/mails'>← {escape(words['back'])}</a></p>"
        if mail is None:
            return render(spoken, words["missing"], back, status=404)
        return render(spoken, mail.subject or words["no_subject"], back + _mail(mail.message(), words))


def _table(mails: Iterable[Mail], words: Words) -> str:
    rows = "".join(
        f"<tr><td>{escape(', '.join(mail.recipients))}</td>"
        f"<td><a href='/_sandbox/mails/{mail.number}'>{escape(mail.subject or words['no_subject'])}</a></td>"
        f"<td class='quiet'>{german_second(mail.at)}</td></tr>"
        for mail in mails
    )
    heads = "".join(f"<th>{escape(words[name])}</th>" for name in ("to", "subject", "time"))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _mail(message: EmailMessage, words: Words) -> str:
    headers = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in message.items()
    )
    parts = [f"<details><summary>{escape(words['headers'])}</summary><table>{headers}</table></details>"]
    if (page := _part(message, "html")) is not None:
        # sandbox="" forbids scripts, forms and navigation to what the mail brings along
        frame = f"<iframe sandbox='' referrerpolicy='no-referrer' srcdoc=\"{escape(page)}\"></iframe>"
        parts.append(f"<h2>{escape(words['html'])}</h2>{frame}")
    if (text := _part(message, "plain")) is not None:
        parts.append(f"<h2>{escape(words['text'])}</h2><pre>{escape(text)}</pre>")
    return "".join(parts)


def _part(message: EmailMessage, kind: str) -> str | None:
    body = message.get_body(preferencelist=(kind,))
    if body is None:
        return None
    try:
        return str(body.get_content())
    except (LookupError, ValueError):
        payload = body.get_payload(decode=True)
        return payload.decode(errors="replace") if isinstance(payload, bytes) else ""
