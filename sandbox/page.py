"""The frame of the sandbox's pages, and its index."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from aiohttp import web

Words = Mapping[str, str]

STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #777; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1rem; margin-top: 1.5rem; }
a { color: #0a66c2; } .quiet { color: var(--quiet); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { white-space: nowrap; }
iframe { width: 100%; height: 32rem; border: 1px solid var(--line); background: #fff; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--line); padding: 1rem; }
"""
CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'; base-uri 'none'"

INDEX: dict[str, Words] = {
    "de": {
        "title": "Sandbox",
        "about": "Nachbauten von Webinaris, KlickTipp, ActiveCampaign, Insightly, Callexa, eTermin, Quentn und "
        "einem Mailserver, nur auf diesem Rechner.",
        "/_sandbox/mails": "Angekommene E-Mails",
        "/_sandbox/effects": "Was wirklich geschehen ist, der Reihe nach (JSON)",
        "/_sandbox/state": "Kontakte und ihre Tags in jedem System (JSON)",
        "/_sandbox/calls": "Aufrufe: wie viele, mit welchem Ausgang, wie schnell (JSON)",
        "/_sandbox/faults": "Bestellte Störungen (JSON)",
    },
    "en": {
        "title": "Sandbox",
        "about": "Stand-ins for Webinaris, KlickTipp, ActiveCampaign, Insightly, Callexa, eTermin, Quentn and "
        "a mail server, on this machine only.",
        "/_sandbox/mails": "Received e-mails",
        "/_sandbox/effects": "What really took place, in order (JSON)",
        "/_sandbox/state": "Contacts and their tags in every system (JSON)",
        "/_sandbox/calls": "Calls: how many, how they ended, how fast they came (JSON)",
        "/_sandbox/faults": "Faults in force (JSON)",
    },
}


def language(request: web.Request) -> str:
    """Return ``de`` or ``en``: ``?lang=``, else whichever Accept-Language names first, else German."""
    asked = request.query.get("lang", "")
    if asked in INDEX:
        return asked
    accepted = request.headers.get("Accept-Language", "").lower()
    names = [part.strip()[:2] for part in accepted.split(",")]
    return next((name for name in names if name in INDEX), "de")


def render(spoken: str, title: str, content: str, status: int = 200) -> web.Response:
    """Return a page. ``title`` is escaped here; ``content`` is HTML already."""
    text = (
        f"<!DOCTYPE html><html lang='{spoken}'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{content}</body></html>"
    )
    headers = {"Content-Security-Policy": CSP, "X-Content-Type-Options": "nosniff"}
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


async def index(request: web.Request) -> web.Response:
    """``GET /``: links to everything a person may look at."""
    words = INDEX[language(request)]
    links = "".join(
        f"<li><a href='{path}'>{escape(label)}</a></li>" for path, label in words.items() if path.startswith("/")
    )
    return render(language(request), words["title"], f"<p>{escape(words['about'])}</p><ul>{links}</ul>")
