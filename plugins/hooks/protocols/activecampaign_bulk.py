"""ActiveCampaign's bulk import as operations without I/O (activecampaign.md 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handoff.contact import comparable
from handoff.errors import RateLimited, Refused
from hooks.protocols.activecampaign import ActiveCampaignProtocol, explain_errors
from hooks.protocols.answers import Denied, clean, unreadable
from hooks.protocols.shared import Conversation
from hooks.protocols.wire import Request

MAX_CONTACTS = 250
IMPORTING = "bulk import"
Entry = Mapping[str, Any]
"""One contact of an import: snake_case names, tags by name, fields as ``{"id": int, "value": str}``."""


class BulkRefused(Refused):
    """The whole import was refused; nothing was imported.

    :param reasons: the vendor's words by the contact's index, for those it complains of.
    """

    def __init__(self, account: str, words: str, reasons: Mapping[int, str]) -> None:
        super().__init__(account, IMPORTING, words)
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Imported:
    """A finished import. :param failed: addresses that were not imported, as they are compared."""

    failed: frozenset[str]


def start_import(protocol: ActiveCampaignProtocol, entries: Sequence[Entry]) -> Conversation[str]:
    """Hand over up to 250 contacts and return the batch id; the vendor works on it afterwards.

    :raises BulkRefused: nothing was imported. :raises RateLimited: more than 100 imports a minute.
    """
    reasons: dict[int, str] = {}
    request = Request("POST", "/import/bulk_import", IMPORTING, changes=True, json={"contacts": list(entries)})

    def explain(document: Any) -> tuple[str, int | None]:
        reasons.update(_reasons(document, request))
        return explain_errors(document)

    try:
        answer = yield from protocol.call(request, explain)
    except Denied as error:
        if "rate limit" in error.words.lower():
            raise RateLimited(protocol.account, IMPORTING, error.words) from None
        raise BulkRefused(protocol.account, error.words, reasons) from None
    batch = answer.get("batchId") if isinstance(answer, dict) and answer.get("Success") == 1 else None
    if not isinstance(batch, str) or not batch:
        raise unreadable(protocol.account, request, "the answer holds no batch id")
    return batch


def read_import(protocol: ActiveCampaignProtocol, batch: str) -> Conversation[Imported | None]:
    """Return what came of an import, or ``None`` while the vendor still works on it."""
    request = Request("GET", "/import/info", "read bulk import", changes=False, query={"batchId": batch})
    answer = yield from protocol.call(request)
    if not isinstance(answer, dict) or not isinstance(answer.get("status"), str):
        raise unreadable(protocol.account, request, "the answer holds no status")
    if answer["status"] != "completed":
        return None
    failed = answer.get("failure", [])
    if not isinstance(failed, list) or not all(isinstance(address, str) for address in failed):
        raise unreadable(protocol.account, request, "the answer holds no list of failures")
    return Imported(frozenset(map(comparable, failed)))


def _reasons(document: Any, request: Request) -> dict[int, str]:
    """Return the complaints that name a contact by its index; others are only in the message."""
    items = document.get("failureReasons") if isinstance(document, dict) else None
    return {
        item["contact"]: clean(str(item.get("failureReason", "no reason given")), request)
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, dict) and type(item.get("contact")) is int
    }
