"""Answers to surveys as a source: each version of one is an occasion with one person."""

from __future__ import annotations

from handoff.answer import ACCOUNT, SOURCE
from handoff.delivery.ledger_source import LedgerSource
from handoff.ledger.answers import PERSON, STANDING


class AnswersSource(LedgerSource):
    """What the ledger knows of answers. The key of such an occasion is ``<answer>/<version>``."""

    source, account, anchor = SOURCE, ACCOUNT, "answered"
    standing, person = STANDING, PERSON
