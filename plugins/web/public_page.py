"""The frame of the pages that anybody with a link may open; they are in nobody's search results and need no script."""

from __future__ import annotations

from html import escape

from fastapi.responses import HTMLResponse

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


def public_page(language: str, title: str, body: str, status: int = 200) -> HTMLResponse:
    """Return a page in one language; what is in another one says so itself.

    :param title: plain text. :param body: HTML, escaped by the caller.
    """
    return HTMLResponse(_PAGE.format(language=language, title=escape(title), body=body), status, HEADERS)


def public_message(title: str, german: str, english: str, status: int) -> HTMLResponse:
    """Return a page of a heading and one sentence in both languages, all plain text.

    :param title: German, with the English words behind it.
    """
    body = f'<h1>{escape(title)}</h1>\n<p>{escape(german)}</p>\n<p lang="en">{escape(english)}</p>'
    return public_page("de", title, body, status)
