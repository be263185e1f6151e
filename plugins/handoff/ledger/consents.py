"""The consent log: a line for each grant, withdrawal, objection, notice and use; lines are only added.

Nothing in it is an address: who it was is a hashed key. Texts of people's making are what they agreed
to, where, and the evidence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.consent import Standing, Subject
from handoff.ledger.storable import storable_json

AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log.

    :param what: see :data:`handoff.consent.What`. :param at: aware: when it happened.
    :param wording: what was agreed to or told, in full. :param source: form, system or event it comes from.
    :param ip: from where it was said, like ``user_agent``. :param evidence: whatever else proves it, plain JSON.
    """

    subject: Subject
    what: str
    at: datetime
    wording: str = ""
    source: str = ""
    ip: str = ""
    user_agent: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Use:
    """A legal ground that an effect rests on. :param wording: hash of what was agreed to or told."""

    effect_id: int
    subject: Subject
    wording: str
    rule_id: str
    legal_basis: str


STANDINGS = text("""
    SELECT asked.contact_key, asked.channel, asked.purpose, said.what AS said, notice.wording_hash AS notice,
        said.wording_hash AS wording,
        ARRAY(SELECT reason FROM handoff.suppressions AS suppression
            WHERE suppression.contact_key = asked.contact_key AND lifted_at IS NULL
              AND suppression.channel IN (asked.channel, 'all')) AS suppressed
    FROM jsonb_to_recordset(CAST(:asked AS jsonb)) AS asked (contact_key text, channel text, purpose text)
    LEFT JOIN LATERAL (
        SELECT max(at) AS at FROM handoff.consents AS consent
        WHERE consent.contact_key = asked.contact_key AND consent.channel = asked.channel
          AND consent.purpose = asked.purpose AND what IN ('withdrawn', 'objected')
    ) AS no ON true
    LEFT JOIN LATERAL (
        SELECT what, wording_hash FROM handoff.consents AS consent
        WHERE consent.contact_key = asked.contact_key AND consent.channel = asked.channel
          AND consent.purpose = asked.purpose AND what IN ('granted', 'confirmed', 'withdrawn', 'objected')
          -- Of what was said in the same second, no counts.
          AND (no.at IS NULL OR at > no.at OR at = no.at AND what IN ('withdrawn', 'objected'))
        -- What was granted anew does not weaken a double opt-in that stands.
        ORDER BY at > no.at DESC NULLS LAST, what = 'confirmed' DESC, at DESC, id DESC LIMIT 1
    ) AS said ON true
    LEFT JOIN LATERAL (
        SELECT wording_hash FROM handoff.consents AS consent
        WHERE consent.contact_key = asked.contact_key AND consent.channel = asked.channel
          AND consent.purpose = asked.purpose AND what = 'notice_given'
        ORDER BY at DESC, id DESC LIMIT 1
    ) AS notice ON true
""")
# Of somebody erased nothing new is kept but that they want no more.
ADD = text("""
    INSERT INTO handoff.consents
        (contact_key, contact_id, channel, purpose, what, wording, wording_hash, source, ip, user_agent, evidence, at)
    SELECT entry.contact_key, contact.id, entry.channel, entry.purpose, entry.what, entry.wording,
        entry.wording_hash, entry.source, entry.ip, entry.user_agent, entry.evidence, entry.at
    FROM jsonb_to_recordset(CAST(:entries AS jsonb)) AS entry (contact_key text, channel text, purpose text,
        what text, wording text, wording_hash text, source text, ip text, user_agent text, evidence jsonb,
        at timestamptz)
    LEFT JOIN handoff.contacts AS contact ON contact.key = entry.contact_key AND NOT contact.erased
    WHERE (entry.what IN ('withdrawn', 'objected')
        OR NOT EXISTS (SELECT FROM handoff.erased WHERE key = entry.contact_key))
      AND NOT EXISTS (SELECT FROM handoff.consents AS known
        WHERE known.contact_key = entry.contact_key AND known.channel = entry.channel
          AND known.purpose = entry.purpose AND known.at = entry.at AND known.what = entry.what)
""")
USED = text("""
    INSERT INTO handoff.consents
        (contact_key, contact_id, channel, purpose, what, wording_hash, source, evidence, effect_id, at)
    SELECT used.contact_key, contact.id, used.channel, used.purpose, 'used', used.wording, used.source,
        used.evidence, used.effect_id, clock_timestamp()
    FROM jsonb_to_recordset(CAST(:used AS jsonb)) AS used (contact_key text, channel text, purpose text,
        wording text, source text, evidence jsonb, effect_id bigint)
    LEFT JOIN handoff.contacts AS contact ON contact.key = used.contact_key
    ON CONFLICT (effect_id) WHERE what = 'used' DO NOTHING
""")
LOG = text("""
    SELECT id, channel, purpose, what, wording, wording_hash, source, ip, user_agent, evidence, effect_id, at,
        recorded_at
    FROM handoff.consents WHERE contact_key = :key ORDER BY at, id
""")
FORGET = text("""
    UPDATE handoff.consents SET contact_id = NULL, source = '', ip = '', user_agent = '', evidence = '{}'
    WHERE contact_key = :key
""")
SUBJECTS = text("SELECT DISTINCT channel, purpose FROM handoff.consents WHERE contact_key = :key")


async def standings(connection: AsyncConnection, subjects: Collection[Subject]) -> dict[Subject, Standing]:
    """Return what the ledger knows of each subject now, in one query."""
    asked = storable_json([_named(subject) for subject in subjects])
    rows = (await connection.execute(STANDINGS, {"asked": asked})).mappings()
    return {Subject(row["contact_key"], row["channel"], row["purpose"]): _standing(row) for row in rows}


def _standing(row: RowMapping) -> Standing:
    told = row["notice"] is not None
    wording = row["wording"] or row["notice"] or ""
    return Standing(frozenset(row["suppressed"]), row["said"], told, wording)


async def add(connection: AsyncConnection, entries: Sequence[Entry]) -> int:
    """Add lines to the log and return how many were new.

    Not added is what the log has already (the same at the same moment), and what would bring back the data
    of somebody erased.
    """
    added = 0
    for first in range(0, len(entries), AT_ONCE):
        some = storable_json([_line(entry) for entry in entries[first : first + AT_ONCE]])
        added += (await connection.execute(ADD, {"entries": some})).rowcount
    return added


async def note_used(connection: AsyncConnection, uses: Sequence[Use]) -> None:
    """Note the legal grounds that effects rest on, once for each effect however often it is tried."""
    lines = [
        _named(use.subject) | {
            "effect_id": use.effect_id, "wording": use.wording, "source": f"rule {use.rule_id}",
            "evidence": {"legal_basis": use.legal_basis},
        }
        for use in uses
    ]  # fmt: skip
    await connection.execute(USED, {"used": storable_json(lines)})


async def log(connection: AsyncConnection, contact_key: str) -> list[RowMapping]:
    """Return a person's lines, oldest first."""
    return list((await connection.execute(LOG, {"key": contact_key})).mappings())


async def subjects(connection: AsyncConnection, contact_key: str) -> list[Subject]:
    """Return what the log has lines about, sorted."""
    rows = (await connection.execute(SUBJECTS, {"key": contact_key})).all()
    return [Subject(contact_key, row.channel, row.purpose) for row in sorted(rows)]


async def forget(connection: AsyncConnection, contact_key: str) -> int:
    """Remove what a person's lines tell of the person; what was said, when, and the wording stay. Returns how many."""
    return (await connection.execute(FORGET, {"key": contact_key})).rowcount


def wording_hash(wording: str) -> str:
    """Return the name of a wording: 64 hex digits, empty for none."""
    return hashlib.sha256(wording.encode("utf-8", "replace")).hexdigest() if wording else ""


def _named(subject: Subject) -> dict[str, Any]:
    return {"contact_key": subject.contact_key, "channel": subject.channel, "purpose": subject.purpose}


def _line(entry: Entry) -> dict[str, Any]:
    return _named(entry.subject) | {
        "what": entry.what, "wording": entry.wording, "wording_hash": wording_hash(entry.wording),
        "source": entry.source, "ip": entry.ip, "user_agent": entry.user_agent, "evidence": entry.evidence,
        "at": entry.at.isoformat(),
    }  # fmt: skip
