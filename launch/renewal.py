"""New names for what a ledger remembers of earlier runs.

It hands nobody over again for a date, record or appointment that it knows, and asks nobody twice in half a year, nor
for a consent that may still be given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.scenario import Scenario

Tree = dict[str, Any]
RECORDS = ("contacts", "opportunities", "projects")
ADDRESSES = ("email", "mail")


def renewed(scenario: Scenario, seconds: float) -> Scenario:
    """Return the same world with other ids of dates, CRM records and appointments, and other addresses of people.

    These are the CRM's contacts and those who book appointments. Whatever names them names them anew. Records and
    appointments without an id get one.

    :param seconds: the moment (unix) of which the new names are made; another one for each run.
    """
    tree: Tree = scenario.model_dump(mode="json", exclude_unset=True)
    stamp, base = f"{int(seconds * 1000):x}", int(seconds) * 1000
    for webinar in tree.get("webinars", ()):
        for date in webinar.get("dates", ()):
            date["id"] = f"{date['id']}-{stamp}"
    appointments: list[Tree] = tree.get("etermin", {}).get("appointments", [])
    for number, appointment in enumerate(appointments, 1):
        appointment["uid"] = f"{appointment.get('uid') or f'appointment{number}'}-{stamp}"
    crm: Tree = tree.get("insightly", {})
    for kind in RECORDS:
        _number(crm.get(kind, ()))
    for record in (record for kind in RECORDS for record in crm.get(kind, ())):
        _shift(record, base)
    customers = {_plain(one.get("email", "")) for one in (*crm.get("contacts", ()), *appointments)} - {""}
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
        for key in ADDRESSES:
            if isinstance(part.get(key), str):
                part[key] = name(part[key])
        part = list(part.values())
    for one in part if isinstance(part, list) else ():
        _rename(one, name)


def _marked(email: str, stamp: str) -> str:
    mailbox, at, domain = email.rpartition("@")
    return f"{mailbox}+{stamp}@{domain}" if at else email


def _plain(email: str) -> str:
    return email.strip().lower()
