"""How a rule's effects show in the sandbox's journal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from handoff.occasion import Occasion
from handoff.rules.steps import (
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
    QuentnCampaign,
    QuentnContact,
    QuentnTerm,
    QuentnUnterm,
    Step,
    Survey,
)
from hooks.protocols.insightly_steps import Mark
from hooks.protocols.quentn import STANDARD_FIELDS
from hooks.protocols.quentn_assumed import NOTES as QUENTN_NOTES

Trace = tuple[str, str, str]
"""System, action, and what: tag, list, field, a note's link, or the name of the effect that a mail or note carries."""
STATUS_SET: Trace = ("quentn", "contact", "e-mail status")
NOTES_KEPT: Trace = ("quentn", "contact", "notes")
"""One call completes a contact in Quentn: it keeps the notes, with the status if need be, or only sets the status."""

NOTES = frozenset({"note", "update_note"})
"""A note that is made or changed: what the answer says now."""


def traces(step: Step, key: str, occasion: Occasion) -> Iterator[Trace]:
    """Yield what one effect leaves. :param key: its stable name."""
    if step.step.startswith("quentn."):
        yield from _in_quentn(step)
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


def is_sure(step: AnyStep, trace: Trace, occasion: Occasion) -> bool:
    """Whether a step always leaves a trace; else it depends on the account whether there is anything to do."""
    match step:
        case KlickTippUntag() | ActiveCampaignUntag() | ActiveCampaignList() | QuentnUnterm():
            return False
        case QuentnContact():
            if not step.create or (trace == NOTES_KEPT and {"modified", "deleted"} & occasion.anchors.keys()):
                # The contact may not be there; what happened to an appointment may leave the notes as they are.
                return False
            # Another way to merge keeps or needs values that are there, and a status that is known stays.
            return trace != STATUS_SET and (trace[1] != "field" or step.merge == "update_add")
    return True


def trace_of(entry: dict[str, Any]) -> Trace:
    """Return the trace of an entry of ``GET /_sandbox/effects``."""
    system, action, detail = entry["system"], entry["action"], entry["detail"]
    what = str(detail.get("tag") or detail.get("list") or detail.get("label") or detail.get("campaign_id") or "")
    if (system, action) == ("quentn", "contact") and not detail["created"] and "mail" not in detail["fields"]:
        return NOTES_KEPT if QUENTN_NOTES in detail["fields"] else STATUS_SET
    if action == "mail":
        what = str(detail.get("message_id", "")).removeprefix("<handoff.").partition("@")[0]
    if action in NOTES:
        mark = Mark.in_body(str(detail["body"]))
        return system, "note", mark.effect if mark else ""
    if action == "link_note":
        what = f"{detail['to']}/{detail['to_id']}".lower()
    return system, action, what


def _in_quentn(step: Step) -> Iterator[Trace]:
    """Yield what a step leaves in Quentn, its texts being rendered; one call writes the contact, one completes it."""
    match step:
        case QuentnContact():
            yield "quentn", "contact", ""
            yield from (("quentn", "field", name) for name in step.fields if name not in STANDARD_FIELDS)
            if step.notes.strip():
                yield NOTES_KEPT
            elif step.opt_in == "single":
                yield STATUS_SET
        case QuentnTerm():
            yield "quentn", "tag", step.term
        case QuentnUnterm():
            yield "quentn", "untag", step.term
        case QuentnCampaign():
            yield "quentn", "campaign", str(step.campaign)
