"""KlickTipp's error documents and numbers in words (klicktipp.md 2.5)."""

from __future__ import annotations

from typing import Any

MEANINGS = {
    4: "subscription not found",
    5: "e-mail validation failed",
    6: "confirmation mail could not be sent",
    7: "e-mail not found",
    8: "field validation failed",
    9: "not subscribed",
    10: "update failed",
    11: "invalid phone number",
    12: "internal error",
    30: "changing the e-mail address is not allowed",
    31: "a SmartTag cannot be removed",
    32: "e-mail address or SMS number required",
    100: "invalid API key",
    401: "user not found",
    402: "opt-in process not found",
    403: "tag not found",
    404: "user group not found",
    405: "campaign not found",
    406: "tier not found",
}
UPDATE_MEANINGS = {
    5: "invalid e-mail address",
    6: "confirmation mail could not be sent",
    9: "the SMS number belongs to another contact",
    10: "the SMS number is unsubscribed",
    11: "invalid phone number",
    30: "the e-mail address is blocked",
}
UPDATE_FAILED = 10


def explain(document: Any) -> tuple[str, int | None]:
    """Return the vendor's words and error number; ``field_value`` is contact data and left out."""
    if isinstance(document, list):
        return "; ".join(str(item) for item in document if isinstance(item, str | int)), None
    if not isinstance(document, dict) or not str(document.get("error", "")).isdigit():
        return "an error in an unknown form", None
    number = int(document["error"])
    words = [f"error {number}: {MEANINGS.get(number, 'not documented')}"]
    code = document.get("code")
    if code is not None and str(code).isdigit():
        meaning = UPDATE_MEANINGS.get(int(code), "not documented") if number == UPDATE_FAILED else ""
        words.append(f"code {code}" + (f": {meaning}" if meaning else ""))
    words += [f"{key}: {document[key]}" for key in ("field", "name", "reason") if isinstance(document.get(key), str)]
    return "; ".join(words), number
