"""Confirmed consents as a source: the ledger itself knows them all, and whether they still stand."""

from __future__ import annotations

from sqlalchemy import text

from handoff.delivery.ledger_source import LedgerSource
from handoff.planning.confirmation import ACCOUNT, SOURCE


class ConfirmationsSource(LedgerSource):
    """What the ledger knows of confirmed consents. The key of such an occasion is the effect whose mail asked."""

    source, account, anchor = SOURCE, ACCOUNT, "confirmed"
    # A no that was said since ends this confirmation for ever: who agrees again confirms another mail.
    standing = text("""
        WITH confirmed AS (
            SELECT key, facts ->> 'channel' AS channel, facts ->> 'agreed_to' AS purpose,
                CAST(anchors ->> 'confirmed' AS timestamptz) AS at
            FROM handoff.occasions
            WHERE source = :source AND account = :account AND key = ANY(CAST(:keys AS text[]))
        )
        SELECT confirmed.key FROM handoff.effects AS effect
        JOIN confirmed ON confirmed.key = CAST(effect.id AS text)
        JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
        JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
        WHERE effect.id = ANY(CAST(:ids AS bigint[]))
          AND NOT EXISTS (SELECT FROM handoff.consents AS said
            WHERE said.contact_key = contact.key AND said.channel = confirmed.channel
              AND said.purpose = confirmed.purpose AND said.what IN ('withdrawn', 'objected')
              AND said.at >= confirmed.at)
          AND NOT EXISTS (SELECT FROM handoff.suppressions AS suppression
            WHERE suppression.contact_key = contact.key AND suppression.channel IN (confirmed.channel, 'all')
              AND (suppression.lifted_at IS NULL OR suppression.at >= confirmed.at))
    """)
    person = text("""
        SELECT contact.*, CAST(NULL AS timestamptz) AS happened_at FROM handoff.effects AS effect
        JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
        JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
        WHERE effect.id = :id AND contact.email <> ''
    """)
