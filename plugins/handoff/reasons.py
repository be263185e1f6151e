"""The ledger's reasons in words for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORDS = {
    "registered": "was registered",
    "online": "was online at the moment",
    "not_online": "was not online at the moment",
    "attended": "counts as attended",
    "not_attended": "counts as not attended",
    "registered_later": "registered only after the moment",
    "duplicate": "is listed several times; the first entry counts",
    "no_email": "the source has no e-mail address of this entry",
    "invalid_email": "the e-mail address is not valid",
    "unreadable": "the source's entry could not be read",
    "withdrawn": "the source did not list this person any more",
    "occasion_cancelled": "the occasion was cancelled",
    "past_when_first_seen": "the moment had passed more than an hour before the occasion was first seen",
    "presence_late": "the source has not reported presence up to the moment yet",
    "presence_never_arrived": "the source did not report presence up to the moment within a day",
    "frozen": "the rule, an account or everything is frozen",
    "dropped_by_person": "a person dropped it",
    "erased": "the person's data was erased",
    "late": "it was later than the rule's late_after allows",
    "already_handed_over": "the rule had handed this contact over before and does not do so again",
    "not_kept": "the address was removed when its retention period ended, and the source lists the entry no more",
}


def in_words(reason: str, facts: Mapping[str, Any] | None = None) -> str:
    """Return a reason for people, with the figures it rests on; a reason without own words stays as it is.

    :param facts: a verdict's facts, as :func:`handoff.audience.judge` wrote them.
    """
    words = WORDS.get(reason, reason.replace("_", " ") if " " not in reason else reason)
    if facts and reason in {"attended", "not_attended"} and "watched_percent" in facts:
        words += f": watched {facts['watched_percent']:g} %, {facts.get('attended_from_percent', '?')} % are needed"
    if facts and reason == "already_handed_over" and "handed_over_at" in facts:
        words += f": for the moment {facts['handed_over_at']}"
    return words
