"""The ledger's reasons in words for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORDS = {
    "registered": "was registered",
    "by_hand": "was named by hand",
    "attached": "is attached to the record",
    "answered": "answered the survey",
    "opted_in": "confirmed the consent (Double-Opt-in)",
    "customer": "is the customer of the appointment",
    "no_newsletter": "did not tick the newsletter box at the booking",
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
    "no_longer_selected": "the occasion is not one that the rule waits for any more, e.g. its tags have changed, "
    "or it is not confirmed any more",
    "occasion_moved": "the date was moved after its people, or some of them, had been judged for the earlier one",
    "moved_back": "the date was moved back to one for which people had been handed over already",
    "past_when_first_seen": "the moment had passed more than an hour before the occasion was first seen",
    "heard_too_late": "the occasion was heard of, or changed, too long after the moment, although the rule was at work "
    "then",
    "presence_late": "the source has not reported presence up to the moment yet",
    "presence_never_arrived": "the source did not report presence up to the moment within a day",
    "frozen": "the rule or everything is frozen, or the rule's DAG is paused",
    "rule_changed": "the rule was changed and does not match this occasion any more",
    "dropped_by_person": "a person dropped it",
    "erased": "the person's data was erased",
    "late": "it was later than the rule's late_after allows",
    "asked_recently": "was asked by the same survey less than the step's distance ago (Mindestabstand)",
    "suppressed": "is on the suppression list (Sperrliste); handoff consent says why",
    "unsubscribed": "unsubscribed (abgemeldet)",
    "consent_withdrawn": "withdrew the consent (Einwilligung widerrufen)",
    "objected": "objected to such messages (Werbewiderspruch)",
    "no_consent": "there is no consent for this channel and purpose (keine Einwilligung)",
    "not_confirmed": "there is a consent, but no double opt-in, which contacts of this source need (nur Single-Opt-in)",
    "no_objection_notice": "was not told, when the address was collected, of the right to object (kein Hinweis auf "
    "das Widerspruchsrecht)",
    "already_consented": "has agreed already (Einwilligung liegt vor)",
    "nothing_to_remind_of": "there is no confirmation mail to remind of: none went out, it was confirmed, it has "
    "expired, or there was a reminder",
    "already_handed_over": "the rule had handed this contact over before and does not do so again",
    "not_kept": "the address was removed when its retention period ended (Aufbewahrungsfrist)",
}


def end_in_words(rests: str) -> str:
    """Return what a lane waits for: ``"account:klicktipp_default goes on"``.

    :param rests: see :class:`handoff.ledger.schema.Lane`.
    """
    kind, _, name = rests.partition(":")
    return f"the DAG of rule {name} is unpaused" if kind == "paused" else f"{rests} goes on"


def in_words(reason: str, facts: Mapping[str, Any] | None = None) -> str:
    """Return a reason for people, with the figures it rests on; a reason without own words stays as it is.

    :param reason: a code, a code with an explanation behind ``": "``, or words already.
    :param facts: a verdict's facts, as :func:`handoff.audience.judge` wrote them.
    """
    code = reason.partition(": ")[0]
    words = WORDS.get(code, reason.replace("_", " ") if " " not in reason else reason)
    if facts and reason in {"attended", "not_attended"} and "watched_percent" in facts:
        words += f": watched {facts['watched_percent']:g} %, {facts.get('attended_from_percent', '?')} % are needed"
    if facts and reason == "already_handed_over" and "handed_over_at" in facts:
        words += f": for the moment {facts['handed_over_at']}"
    if facts and "presence_until" in facts:
        words += f" (presence was known until {facts['presence_until']} only)"
    return words
