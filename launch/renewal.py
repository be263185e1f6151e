"""New names for what a ledger remembers of earlier runs.

It hands nobody over again for a date or record that it knows, and asks nobody twice in half a year.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.scenario import Scenario

Tree = dict[str, Any]
RECORDS = ("contacts", "opportunities", "projects")


def renewed(scenario: Scenario, seconds: float) -> Scenario:
    """Return the same world with other ids of dates and CRM records, and other addresses of the CRM's contacts.

    Whatever names them names them anew. Records without an id get one.

    :param seconds: the moment (unix) of which the new names are made; another one for each run.
    """
    tree: Tree = scenario.model_dump(mode="json", exclude_unset=True)
    stamp, base = f"{int(seconds * 1000):x}", int(seconds) * 1000
    for webinar in tree.get("webinars", ()):
        for date in webinar.get("dates", ()):
            date["id"] = f"{date['id']}-{stamp}"
    crm: Tree = tree.get("insightly", {})
    for kind in RECORDS:
        _number(crm.get(kind, ()))
    for record in (record for kind in RECORDS for record in crm.get(kind, ())):
        _shift(record, base)
    customers = {_plain(contact.get("email", "")) for contact in crm.get("contacts", ())}
    _rename(tree, lambda email: _marked(email, stamp) if _plain(email) in customers else email)
    return Scenario.model_validate(tree)


def _number(records: list[Tree]) -> None:
    """Give ids to records without one, after all the others, in their own order."""
    following = 1 + max((record.get("id") or 0 for record in records), default=0)
    for record in records:
        if not record.get("id"):
            record["id"], following = following, following + 1


def _shift(record: Tree, base: int) -> None:
    record["id"] += base
    if record.get("contacts"):
        record["contacts"] = [base + number for number in record["contacts"]]
    if record.get("opportunity"):
        record["opportunity"] += base


def _rename(part: Any, name: Callable[[str], str]) -> None:
    """Rename every address below a part of the scenario."""
    if isinstance(part, dict):
        if isinstance(part.get("email"), str):
            part["email"] = name(part["email"])
        part = list(part.values())
    for one in part if isinstance(part, list) else ():
        _rename(one, name)


def _marked(email: str, stamp: str) -> str:
    mailbox, at, domain = email.rpartition("@")
    return f"{mailbox}+{stamp}@{domain}" if at else email


def _plain(email: str) -> str:
    return email.strip().lower()
