"""How a rule's effects show in the sandbox's journal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from handoff.occasion import Occasion
from handoff.steps import (
    ActiveCampaignContact,
    ActiveCampaignList,
    ActiveCampaignTag,
    ActiveCampaignUntag,
    AnyStep,
    CallexaRecipient,
    Email,
    InsightlyNote,
    KlickTippContact,
    KlickTippTag,
    KlickTippUntag,
    OptIn,
    Survey,
)
from hooks.protocols.insightly_steps import Mark

Trace = tuple[str, str, str]
"""System, action, and what: tag, list, a note's link, or the name of the effect that a mail or note carries."""

NOTES = frozenset({"note", "update_note"})
"""A note that is made or changed: what the answer says now."""


def traces(step: AnyStep, key: str, occasion: Occasion) -> Iterator[Trace]:
    """Yield what one effect leaves. :param key: its stable name."""
    match step:
        case KlickTippContact():
            yield "klicktipp", "contact", ""
            if step.tag:
                yield "klicktipp", "tag", step.tag
        case KlickTippTag():
            yield "klicktipp", "tag", step.tag
        case KlickTippUntag():
            yield "klicktipp", "untag", step.tag
        case ActiveCampaignContact():
            yield "activecampaign", "contact", ""
        case ActiveCampaignTag():
            yield "activecampaign", "tag", step.tag
        case ActiveCampaignUntag():
            yield "activecampaign", "untag", step.tag
        case ActiveCampaignList():
            yield "activecampaign", "list", step.list
        case Email() | Survey() | OptIn():
            yield "email", "mail", key
        case CallexaRecipient():
            yield "callexa", "recipient", ""
        case InsightlyNote():
            yield "insightly", "note", hashlib.sha256(key.encode()).hexdigest()[:8]
            if step.link and (record := str(occasion.facts.get("record", ""))):
                yield "insightly", "link_note", record


def trace_of(entry: dict[str, Any]) -> Trace:
    """Return the trace of an entry of ``GET /_sandbox/effects``."""
    system, action, detail = entry["system"], entry["action"], entry["detail"]
    what = detail.get("tag") or detail.get("list") or ""
    if action == "mail":
        what = str(detail.get("message_id", "")).removeprefix("<handoff.").partition("@")[0]
    if action in NOTES:
        mark = Mark.in_body(str(detail["body"]))
        return system, "note", mark.effect if mark else ""
    if action == "link_note":
        what = f"{detail['to']}/{detail['to_id']}".lower()
    return system, action, what
