"""How an address, a name or a number may be spelled by others: in any case, or percent-encoded as in links."""

from __future__ import annotations

import re
import unicodedata


def folded(text: str) -> str:
    """Return a tag, or another name that people type, in the form by which they are compared.

    That is without case and spare blanks, and whichever way an umlaut was typed.
    """
    return " ".join(unicodedata.normalize("NFC", text).split()).casefold()


def spellings(words: str) -> str:
    """Return a pattern of all spellings of some words, for Python and PostgreSQL alike; match without regard to case.

    Each sign counts as it is and percent-encoded, also several times over (``%2540``); a blank may be a ``+`` too.
    """
    return "".join(map(_spelling, words))


def left_out(private: str, words: str, *, alone: bool = False) -> str:
    """Return words without something, however it is spelled there; an ellipsis stands in its place.

    :param alone: only where it is a word of its own, and not a part of another.
    """
    pattern = spellings(private)
    if alone:
        pattern = rf"(?:(?<!\w)|(?<=%[0-9a-f]{{2}})){pattern}(?!\w)"
    return re.sub(pattern, "…", words, flags=re.IGNORECASE)


def _spelling(sign: str) -> str:
    if sign.isascii() and sign.isalnum():
        return sign
    # Half a surrogate pair too, as a source may send it.
    encoded = "".join(f"%(?:25)*{byte:02x}" for byte in sign.encode(errors="surrogatepass"))
    blank = r"|\+" if sign == " " else ""
    return f"(?:{re.escape(sign)}|{encoded}{blank})"
