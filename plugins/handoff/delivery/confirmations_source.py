"""Confirmed consents as a source: the ledger itself knows them all, and whether they still stand."""

from __future__ import annotations

from handoff.delivery.ledger_source import LedgerSource
from handoff.ledger.opt_ins import PERSON, STANDING
from handoff.planning.confirmation import ACCOUNT, SOURCE


class ConfirmationsSource(LedgerSource):
    """What the ledger knows of confirmed consents. The key of such an occasion is the effect whose mail asked."""

    source, account, anchor = SOURCE, ACCOUNT, "confirmed"
    standing, person = STANDING, PERSON
