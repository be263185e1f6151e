"""The objection notices of the CRM's contacts, without which no survey goes out on the basis ``existing_customer``.

Here everybody was told, so their notices are taken in as an operator takes them in: ``handoff consent --import``.
"""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime
from pathlib import Path

from handoff.contact import UnusableAddress, normalise_email
from sandbox.scenario import Scenario

COLUMNS = ("email", "purpose", "what", "at", "source", "wording")
WORDING = (
    "Wir befragen Sie gelegentlich per E-Mail zu Ihrer Zufriedenheit. Sie können dem jederzeit widersprechen, ohne "
    "dass andere als die Übermittlungskosten nach den Basistarifen entstehen."
)
SOURCE = "contacts of the sandbox's CRM"


def customers(scenario: Scenario) -> frozenset[str]:
    """Return the usable addresses of the CRM's contacts, in the one spelling by which they are known."""
    found = set[str]()
    for contact in scenario.insightly.contacts:
        try:
            found.add(normalise_email(contact.email))
        except UnusableAddress:
            continue
    return frozenset(found)


def write_notices(scenario: Scenario, path: Path) -> Path:
    """Write the file that is imported."""
    now = datetime.now(UTC).isoformat()
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        rows.writerows((email, "survey", "notice_given", now, SOURCE, WORDING) for email in sorted(customers(scenario)))
    return path


def command(file: Path, ledger_url: str) -> list[str]:
    """Return the command that imports the file."""
    return [str(Path(sys.executable).parent / "handoff"), "consent", "--import", str(file), "--url", ledger_url]
