"""The frame that all pages of the console share."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape

from fastapi.responses import HTMLResponse

# Airflow's UI keeps the choice of light or dark here; without one the browser's own holds.
_SCRIPT = """
const follow = () => {
  const theme = localStorage.getItem("theme");
  document.documentElement.style.colorScheme = ["light", "dark"].includes(theme) ? theme : "light dark";
};
follow();
addEventListener("storage", follow);
"""
_SCRIPT_HASH = b64encode(sha256(_SCRIPT.encode()).digest()).decode()

# No script but this one, nothing from elsewhere, and shown in a frame by Airflow's own pages only.
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src 'sha256-{_SCRIPT_HASH}'; "
    "style-src 'unsafe-inline'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ margin: 12px; color: CanvasText; font: 14px system-ui, sans-serif }}
h1 {{ font-size: 18px }}
</style>
<script>{script}</script>
</head>
<body>
{body}
</body>
</html>
"""


def page(title: str, body: str, status: int = 200) -> HTMLResponse:
    """Return a whole page; light or dark as the page around it.

    :param title: plain text.
    :param body: HTML, escaped by the caller.
    """
    return HTMLResponse(_PAGE.format(title=escape(title), script=_SCRIPT, body=body), status, HEADERS)


def message(title: str, *sentences: str, status: int) -> HTMLResponse:
    """Return a page of a heading and paragraphs, all plain text."""
    paragraphs = "\n".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return page(title, f"<h1>{escape(title)}</h1>\n{paragraphs}", status)
