"""The addresses with which nothing is done in Quentn: unsubscribed, blocked or spam there."""

from __future__ import annotations

from handoff.contact import UnusableAddress, normalise_email
from sandbox.quentn.mail_status import BLOCKED, SPAM, STATUSES, UNSUBSCRIBED
from sandbox.scenario import Scenario

CLOSED = frozenset({BLOCKED, SPAM, UNSUBSCRIBED})


def closed(scenario: Scenario) -> frozenset[str]:
    """Return the addresses in the one spelling by which they are known; also those that Quentn only remembers."""
    found = set[str]()
    for contact in scenario.quentn.contacts:
        if STATUSES[contact.status] in CLOSED:
            try:
                found.add(normalise_email(contact.mail))
            except UnusableAddress:
                continue
    return frozenset(found)
