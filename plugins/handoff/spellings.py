"""How an address, a name or a number may be spelled by others: as it is, or percent-encoded as in links."""

from __future__ import annotations

import re


def spellings(words: str) -> str:
    """Return a pattern of all spellings of some words, for Python and PostgreSQL alike; match without regard to case.

    Each sign counts as it is and percent-encoded, also several times over (``%2540``); a blank may be a ``+`` too.
    """
    return "".join(map(_spelling, words))


def _spelling(sign: str) -> str:
    if sign.isascii() and sign.isalnum():
        return sign
    # Half a surrogate pair too, as a source may send it.
    encoded = "".join(f"%(?:25)*{byte:02x}" for byte in sign.encode(errors="surrogatepass"))
    blank = r"|\+" if sign == " " else ""
    return f"(?:{re.escape(sign)}|{encoded}{blank})"
