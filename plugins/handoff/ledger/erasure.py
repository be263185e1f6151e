"""Erasing a person: their data goes, a hashed key stays, so that nothing is sent twice and nothing comes back.

Rows are locked in the order in which others lock them: contact before lanes as whoever judges does,
effects before lanes as the journal does. What is stored or judged at the same time either waits for
the erasure and then finds the person erased, or is written before it and then erased with the rest.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff import consent
from handoff.ledger import consents, deliveries, opt_ins, resets, suppressions
from handoff.ledger.anonymity import forget_answers
from handoff.ledger.bells import ring
from handoff.ledger.decisions import release
from handoff.spellings import spellings

FEWEST_PHONE_DIGITS = 6
"""A shorter number would be found in texts that do not mean it."""
ESCAPED = r"%[0-9a-f]{2}|\\[bfnrt]"
"""Ends with what looks like a letter and is none: percent-encoded, or a line's end in JSON."""
BEFORE_ADDRESS = rf"(?:^|{ESCAPED}|[^0-9a-z._+-]|(?:^|[^0-9a-z])[._+-])"
BEFORE_NUMBER = rf"(?:^|{ESCAPED}|[^0-9])"


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure removed: counts only, no contact data.

    :param key: the contact's key, which stays.
    :param known: whether the ledger knew the person.
    :param entries: entries of sources' lists whose presence was removed.
    :param verdicts: verdicts whose facts were removed.
    :param texts: events and occasions that named the person and were blanked, and pushes that were removed.
    :param answers: answers to surveys that lost comment and person; their ratings count on.
    :param consents: lines of the consent log that lost source and evidence; what was said stays.
    :param skipped: open effects that were ended.
    :param doubtful: how many of these had been sent with an outcome that is not known.
    :param accounts: target accounts that have or may have the person, with their effects; ask them to erase too.
    """

    key: str
    known: bool
    entries: int = 0
    verdicts: int = 0
    texts: int = 0
    answers: int = 0
    consents: int = 0
    skipped: int = 0
    doubtful: int = 0
    accounts: dict[str, int] = field(default_factory=dict)


REMEMBER = text("INSERT INTO handoff.erased (key) VALUES (:key) ON CONFLICT (key) DO NOTHING")
# Also of somebody unknown: a list that is stored right now must find this row.
KNOW = text("""
    INSERT INTO handoff.contacts (key, email, first_name, last_name, phone, language, timezone)
    VALUES (:key, '', '', '', '', '', '') ON CONFLICT (key) DO NOTHING RETURNING id
""")
LOCK = text("SELECT id, email, phone FROM handoff.contacts WHERE key = :key FOR UPDATE")
BLANK = text("""
    UPDATE handoff.contacts SET email = '', first_name = '', last_name = '', phone = '', language = '',
        timezone = '', erased = true
    WHERE id = :id
""")
# An occasion given by hand is this person's alone; of the others only what names the person.
EVENTS = text("""
    UPDATE handoff.inbox AS event SET payload = '{}'
    WHERE payload <> '{}' AND (
        payload::text ~* ANY(CAST(:named AS text[]))
        OR (source, account, occasion_key) IN (
            SELECT occasion.source, occasion.account, occasion.key FROM handoff.registrations AS registration
            JOIN handoff.occasions AS occasion ON occasion.id = registration.occasion_id
            WHERE registration.contact_id = :id AND occasion.source = 'manual'))
""")
# Without the two facts, nobody could ask the source for the appointment again.
OCCASIONS = text("""
    UPDATE handoff.occasions AS occasion SET title = '', facts = (
        SELECT COALESCE(jsonb_object_agg(name, fact), '{}') FROM jsonb_each(facts) AS one (name, fact)
        WHERE name IN ('appointment', 'event'))
    WHERE (title, facts) <> ('', CAST('{}' AS jsonb)) AND (
        title ~* ANY(CAST(:named AS text[])) OR facts::text ~* ANY(CAST(:named AS text[]))
        OR source = 'manual'
            AND id IN (SELECT occasion_id FROM handoff.registrations WHERE contact_id = :id))
""")
ENTRIES = text("""
    UPDATE handoff.registrations
    SET contact_id = NULL, unusable = 'erased', presence = '[]', details = '{}' WHERE contact_id = :id
""")
VERDICTS = text("UPDATE handoff.verdicts SET facts = '{}' WHERE contact_id = :id AND facts <> '{}'")
# A target's own words stand in brackets at the end, see TargetError; what a template stumbled over, behind its code.
EFFECTS = text("""
    WITH mine AS (
        SELECT effect.id, effect.state AS before, effect.state IN ('planned', 'sending', 'unknown', 'held') AS open
        FROM handoff.effects AS effect JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
        WHERE handoff.contact_id = :id ORDER BY effect.id FOR NO KEY UPDATE OF effect
    )
    UPDATE handoff.effects AS effect SET proof = NULL,
        state = CASE WHEN open THEN 'skipped' ELSE state END,
        reason = CASE WHEN open THEN 'erased'
            ELSE split_part(regexp_replace(reason, '^template: .*', 'template'), ' (', 1) END,
        settled_at = CASE WHEN open THEN clock_timestamp() ELSE settled_at END
    FROM mine WHERE effect.id = mine.id
    RETURNING mine.before, mine.open, effect.account, effect.attempts, effect.lane_id
""")
LANES = text("""
    SELECT id, name = :key AS own FROM handoff.lanes
    WHERE id IN (SELECT lane_id FROM handoff.handoffs WHERE contact_id = :id) ORDER BY id FOR NO KEY UPDATE
""")
# Whoever works in the lane loses it: what is written after this would bring data back.
CLOSE_LANES = text("""
    UPDATE handoff.lanes SET held = NULL, rests = NULL, ready_at = NULL, lease_owner = NULL, leased_until = NULL,
        revision = revision + 1
    WHERE id = ANY(CAST(:lanes AS bigint[]))
""")


async def erase(connection: AsyncConnection, key: str, email: str = "") -> Erasure:
    """Remove a person's data for ever, also if the ledger does not know the person; safe to repeat.

    Open effects are ended as ``skipped`` (``erased``), and lanes that others share go on. A call
    that is on its way at this moment cannot be called back.

    :param connection: in a transaction that is committed afterwards.
    :param key: the contact's whole key, see :class:`handoff.contact.Contact`.
    :param email: the normalised address, if it is known: events may name it longer than the ledger keeps contacts.
    """
    await connection.execute(REMEMBER, {"key": key})
    known = (await connection.execute(KNOW, {"key": key})).first() is None
    contact = (await connection.execute(LOCK, {"key": key})).one()
    named = [*_address(contact.email or email), *_number(contact.phone)]
    person = {"id": contact.id, "key": key, "named": named}
    await connection.execute(BLANK, person)
    effects = await _end_effects(connection, person)
    texts = [(await connection.execute(statement, person)).rowcount for statement in (EVENTS, OCCASIONS)]
    texts.append(await deliveries.forget(connection, key))
    entries = (await connection.execute(ENTRIES, person)).rowcount
    verdicts = (await connection.execute(VERDICTS, person)).rowcount
    answers = await forget_answers(connection, contact.id)
    lines = await consents.forget(connection, key)
    await opt_ins.forget(connection, key)
    await resets.forget(connection, key)
    await suppressions.add(connection, key, consent.ALL, "erased", "handoff erase")
    return Erasure(
        key, known, entries=entries, verdicts=verdicts, texts=sum(texts), answers=answers, consents=lines, **effects
    )


def _address(email: str) -> list[str]:
    """Return a pattern that finds an address, but not within a longer one: not anna's in johanna's."""
    return [f"{BEFORE_ADDRESS}{spellings(email)}(?![0-9a-z])"] if email else []


def _number(phone: str) -> list[str]:
    enough = sum(map(str.isdecimal, phone)) >= FEWEST_PHONE_DIGITS
    return [f"{BEFORE_NUMBER}{spellings(phone)}(?![0-9])"] if enough else []


async def _end_effects(connection: AsyncConnection, person: dict[str, Any]) -> dict[str, Any]:
    effects = (await connection.execute(EFFECTS, person)).all()
    lanes = (await connection.execute(LANES, person)).all()
    await connection.execute(CLOSE_LANES, {"lanes": [lane.id for lane in lanes if lane.own]})
    skipped = [effect for effect in effects if effect.open]
    waited = {effect.lane_id for effect in skipped}
    if shared := [lane.id for lane in lanes if not lane.own and lane.id in waited]:
        await release(connection, shared)
        await ring(connection)
    doubtful = [effect for effect in skipped if effect.before != "planned" and effect.attempts]
    there = [effect for effect in effects if effect.before == "confirmed"]
    accounts = Counter(effect.account for effect in (*there, *doubtful))
    return {"skipped": len(skipped), "doubtful": len(doubtful), "accounts": dict(sorted(accounts.items()))}
