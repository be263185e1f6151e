"""Answers to surveys as a source: each version of one is an occasion with one person."""

from __future__ import annotations

from sqlalchemy import text

from handoff.answer import ACCOUNT, SOURCE
from handoff.delivery.ledger_source import LedgerSource


class AnswersSource(LedgerSource):
    """What the ledger knows of answers. The key of such an occasion is ``<answer>/<version>``."""

    source, account, anchor = SOURCE, ACCOUNT, "answered"
    # Superseded by a newer version, erased, or not kept any more: then it is not the answer.
    standing = text("""
        SELECT id || '/' || version FROM handoff.answers
        WHERE id = ANY(CAST(:ids AS bigint[])) AND contact_id IS NOT NULL AND rating IS NOT NULL
    """)
    person = text("""
        SELECT contact.*, answer.answered_at AS happened_at FROM handoff.answers AS answer
        JOIN handoff.contacts AS contact ON contact.id = answer.contact_id
        WHERE answer.id = :id AND contact.email <> ''
    """)
