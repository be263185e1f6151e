"""How long data is kept, by kind, and removing what is older.

Rows stay, with their unique keys and counts: so nothing is sent twice and certificates stay true
however little is left. What was removed of a list is read from the source again if it is needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Self

from sqlalchemy import TextClause, bindparam, column, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.errors import HandoffError
from handoff.ledger import anonymity, cursors

LONGEST_DAYS = 36_500
AT_ONCE = 5_000
"""So many rows of each kind go at once, so that nobody waits long for it."""
REST = timedelta(hours=6)
"""After a pass that left nothing the next one may wait so long."""


@dataclass(frozen=True, slots=True)
class Periods:
    """Days for which each kind of data is kept; ``HANDOFF_KEEP_<KIND>_DAYS`` sets another number.

    :param events: what sources reported, counted from its arrival; its key stays.
    :param presence: who was in the room from when to when, from the occasion's last anchor on.
    :param contacts: addresses, names and numbers of people with nothing open, from the last anchor
        of their last occasion on; not shorter than ``presence``.
    :param facts: the facts of verdicts, from the judgement on; the verdict and its reason stay.
    :param proofs: what targets answered to effects, from the effect's end on; its state stays.
    :param answers: comments of answers to surveys and whose they are, from the answer on; the rating stays.
    :param consents: the consent log, from the last grant, withdrawal, notice or use of the same person, channel and
        purpose on (the proof must be kept for five years: section 7a UWG); who withdrew or objected stays known.
    :param opt_ins: who was asked to confirm what, from the link's end on; what was confirmed is in the consent log.
    :param resets: by whom and why somebody was let through a rule again, from then on; that it was so stays.
    :param notices: notices that were closed, from then on.
    :param starts: how long runs took to start; the last 50 stay.
    :param uses: how many requests an account used of its day.
    :param deliveries: what was pushed here, counted from its arrival.
    :param pushes: how many pushes of a day were accepted and refused.
    """

    events: int = 90
    presence: int = 180
    contacts: int = 365
    facts: int = 365
    proofs: int = 365
    answers: int = 365
    consents: int = 1827
    opt_ins: int = 30
    resets: int = 365
    notices: int = 90
    starts: int = 30
    uses: int = 90
    deliveries: int = 7
    pushes: int = 90

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the periods that the environment sets; the others keep their defaults.

        :raises HandoffError: when one is no whole number of days, or contacts are kept shorter than presence.
        """
        given = {field.name: f"HANDOFF_KEEP_{field.name.upper()}_DAYS" for field in fields(cls)}
        set_there = {kind: environment[name] for kind, name in given.items() if environment.get(name)}
        for kind, days in set_there.items():
            if not days.isdecimal() or not 1 <= int(days) <= LONGEST_DAYS:
                raise HandoffError(f"{given[kind]}={days}: write a whole number of days from 1 to {LONGEST_DAYS}")
        periods = cls(**{kind: int(days) for kind, days in set_there.items()})
        if periods.contacts < periods.presence:
            words = "contacts cannot be kept shorter than presence, from which they would come back"
            raise HandoffError(f"{words}; raise {given['contacts']} or lower {given['presence']}")
        return periods


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind is found, oldest first, and removed by what was found; others may lock what it needs alone."""

    find: TextClause
    remove: TextClause
    lock: TextClause | None = None


_KINDS = {
    "events": _Kind(
        find=text("""
            SELECT id AS found FROM handoff.inbox
            WHERE received_at < :before AND payload <> '{}' ORDER BY id LIMIT :most
        """),
        remove=text("UPDATE handoff.inbox SET payload = '{}' WHERE id = ANY(CAST(:found AS bigint[]))"),
    ),
    # Read at the epoch means: not kept any more, so that the next look reads the whole list.
    "presence": _Kind(
        find=text("""
            WITH past AS (
                SELECT id FROM handoff.occasions AS occasion
                WHERE (SELECT max(CAST(value AS timestamptz)) FROM jsonb_each_text(anchors)) < :before
                  AND NOT EXISTS (SELECT FROM handoff.batches
                    WHERE occasion_id = occasion.id AND state IN ('waiting', 'held'))
            )
            SELECT occasion_id AS found FROM handoff.registrations JOIN past ON past.id = occasion_id
            WHERE read_at > 'epoch' ORDER BY occasion_id, ref LIMIT :most
        """),
        remove=text("""
            UPDATE handoff.registrations SET presence = '[]', details = '{}', read_at = 'epoch'
            WHERE occasion_id = ANY(CAST(:found AS bigint[])) AND read_at > 'epoch'
        """),
    ),
    "contacts": _Kind(
        find=text("""
            WITH past AS (
                SELECT id FROM handoff.occasions AS occasion
                WHERE (SELECT max(CAST(value AS timestamptz)) FROM jsonb_each_text(anchors)) < :before
                  AND NOT EXISTS (SELECT FROM handoff.batches
                    WHERE occasion_id = occasion.id AND state IN ('waiting', 'held'))
            )
            SELECT id AS found FROM handoff.contacts AS contact
            WHERE email <> '' AND (CAST(:among AS bigint[]) IS NULL OR id = ANY(CAST(:among AS bigint[])))
              AND NOT EXISTS (
                SELECT FROM handoff.registrations AS entry WHERE entry.contact_id = contact.id
                  AND (entry.read_at > 'epoch' OR NOT EXISTS (SELECT FROM past WHERE past.id = entry.occasion_id)))
              AND NOT EXISTS (
                SELECT FROM handoff.handoffs AS handoff
                JOIN handoff.effects AS effect ON effect.handoff_id = handoff.id
                WHERE handoff.contact_id = contact.id
                  AND effect.state IN ('planned', 'sending', 'unknown', 'held'))
            ORDER BY id LIMIT :most
        """),
        # Whoever is being listed or judged at this moment has the row, and is left alone.
        lock=text("""
            SELECT id FROM handoff.contacts WHERE id = ANY(CAST(:found AS bigint[]))
            ORDER BY id FOR UPDATE SKIP LOCKED
        """),
        remove=text("""
            UPDATE handoff.contacts SET email = '', first_name = '', last_name = '', phone = '', language = '',
                timezone = ''
            WHERE id = ANY(CAST(:found AS bigint[]))
        """),
    ),
    "facts": _Kind(
        find=text("""
            SELECT id AS found FROM handoff.verdicts
            WHERE judged_at < :before AND facts <> '{}' ORDER BY id LIMIT :most
        """),
        remove=text("UPDATE handoff.verdicts SET facts = '{}' WHERE id = ANY(CAST(:found AS bigint[]))"),
    ),
    # Later steps of the same handoff may still need what an earlier one was told.
    "proofs": _Kind(
        find=text("""
            SELECT id AS found FROM handoff.effects AS effect
            WHERE settled_at < :before AND proof IS NOT NULL AND NOT EXISTS (
                SELECT FROM handoff.effects AS other WHERE other.handoff_id = effect.handoff_id
                  AND other.state IN ('planned', 'sending', 'unknown', 'held'))
            ORDER BY id LIMIT :most
        """),
        remove=text("UPDATE handoff.effects SET proof = NULL WHERE id = ANY(CAST(:found AS bigint[]))"),
    ),
    # A rating without a person, a comment or a source's ref has nothing left to remove.
    "answers": _Kind(
        find=text("""
            SELECT id AS found FROM handoff.answers
            WHERE answered_at < :before AND rating IS NOT NULL AND (contact_id IS NOT NULL OR ref IS NOT NULL)
            ORDER BY id LIMIT :most
        """),
        remove=anonymity.SOME,
    ),
    "consents": _Kind(
        find=text("""
            SELECT id AS found FROM handoff.consents AS consent
            WHERE at < :before
              AND (what NOT IN ('withdrawn', 'objected')
                OR (source, ip, user_agent, evidence) <> ('', '', '', CAST('{}' AS jsonb)))
              AND NOT EXISTS (SELECT FROM handoff.consents AS later
                WHERE later.contact_key = consent.contact_key AND later.channel = consent.channel
                  AND later.purpose = consent.purpose AND later.at >= :before)
            ORDER BY id LIMIT :most
        """),
        remove=text("""
            WITH gone AS (
                DELETE FROM handoff.consents
                WHERE id = ANY(CAST(:found AS bigint[])) AND what NOT IN ('withdrawn', 'objected') RETURNING id
            ), kept AS (
                UPDATE handoff.consents SET contact_id = NULL, source = '', ip = '', user_agent = '', evidence = '{}'
                WHERE id = ANY(CAST(:found AS bigint[])) AND what IN ('withdrawn', 'objected') RETURNING id
            )
            SELECT id FROM gone UNION ALL SELECT id FROM kept
        """),
    ),
    "opt_ins": _Kind(
        find=text("SELECT effect_id AS found FROM handoff.opt_ins WHERE expires_at < :before ORDER BY 1 LIMIT :most"),
        remove=text("DELETE FROM handoff.opt_ins WHERE effect_id = ANY(CAST(:found AS bigint[]))"),
    ),
    "resets": _Kind(
        find=text("""
            SELECT id AS found FROM handoff.resets
            WHERE at < :before AND (by, because) <> ('', '') ORDER BY id LIMIT :most
        """),
        remove=text("UPDATE handoff.resets SET by = '', because = '' WHERE id = ANY(CAST(:found AS bigint[]))"),
    ),
    "notices": _Kind(
        find=text("SELECT id AS found FROM handoff.notices WHERE closed_at < :before ORDER BY id LIMIT :most"),
        remove=text("DELETE FROM handoff.notices WHERE id = ANY(CAST(:found AS bigint[]))"),
    ),
    "starts": _Kind(
        find=text("""
            SELECT id AS found FROM handoff.starts
            WHERE at < :before AND id NOT IN (SELECT id FROM handoff.starts ORDER BY id DESC LIMIT 50)
            ORDER BY id LIMIT :most
        """),
        remove=text("DELETE FROM handoff.starts WHERE id = ANY(CAST(:found AS bigint[]))"),
    ),
    "uses": _Kind(
        find=text("""
            SELECT day AS found FROM handoff.day_uses WHERE day < CAST(:before AS date) ORDER BY day LIMIT :most
        """),
        remove=text("DELETE FROM handoff.day_uses WHERE day = ANY(CAST(:found AS date[]))"),
    ),
    # Also what could not be recorded all the time: contact data may be in it, and the team was told.
    "deliveries": _Kind(
        find=text("SELECT id AS found FROM handoff.deliveries WHERE received_at < :before ORDER BY id LIMIT :most"),
        remove=text("DELETE FROM handoff.deliveries WHERE id = ANY(CAST(:found AS bigint[]))"),
    ),
    "pushes": _Kind(
        find=text("""
            SELECT day AS found FROM handoff.webhook_counts
            WHERE day < CAST(:before AS date) ORDER BY day LIMIT :most
        """),
        remove=text("DELETE FROM handoff.webhook_counts WHERE day = ANY(CAST(:found AS date[]))"),
    ),
}


async def due(connection: AsyncConnection, periods: Periods) -> dict[str, int]:
    """Return how many rows of each kind are older than their period now; nothing is changed."""
    found = {}
    for name, days in asdict(periods).items():
        rows = _finding(_KINDS[name], days, None).columns(column("found")).subquery()
        found[name] = int((await connection.execute(select(func.count()).select_from(rows))).scalar_one())
    return found


async def apply(connection: AsyncConnection, periods: Periods | None = None) -> dict[str, int]:
    """Remove what is older than its period, a limited number of rows of each kind; call it again for the rest.

    :param connection: in a transaction that is committed afterwards.
    :param periods: from the environment unless given.
    :returns: how many rows of each kind were changed; nothing is left to do when all are 0.
    """
    await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('handoff-retention'))"))
    periods = periods or Periods.from_environment()
    return {name: await _remove(connection, _KINDS[name], days) for name, days in asdict(periods).items()}


async def apply_now_and_then(connection: AsyncConnection, periods: Periods | None = None) -> dict[str, int]:
    """Do as :func:`apply` unless a pass within the last hours left nothing to do; made for the sweep.

    :returns: how many rows of each kind were changed; empty when it was not time yet.
    """
    done, now = await cursors.read(connection, "retention", ""), datetime.now(UTC)
    if done and datetime.fromisoformat(done) > now - REST:
        return {}
    removed = await apply(connection, periods)
    if not any(removed.values()):
        await cursors.write(connection, "retention", "", now.isoformat())
    return removed


async def _remove(connection: AsyncConnection, kind: _Kind, days: int) -> int:
    found = list((await connection.execute(_finding(kind, days, AT_ONCE))).scalars())
    if kind.lock is not None:
        locked = list((await connection.execute(kind.lock, {"found": found})).scalars())
        found = list((await connection.execute(_finding(kind, days, AT_ONCE, locked))).scalars())
    if not found:
        return 0
    return (await connection.execute(kind.remove, {"found": sorted(set(found))})).rowcount


def _finding(kind: _Kind, days: int, most: int | None, among: list[int] | None = None) -> TextClause:
    given: dict[str, object] = {"before": datetime.now(UTC) - timedelta(days=days), "most": most}
    if kind.lock is not None:
        given |= {"among": among}
    return kind.find.bindparams(*(bindparam(name, value) for name, value in given.items()))
