"""What a story left behind: the sandbox's own list of effects, and the ledger's rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.rows import dict_row

from chaos.story import FAR, Story

Rows = list[dict[str, Any]]

TABLES = {
    "occasions": """
        SELECT key, cancelled, changed, extract(epoch FROM (anchors ->> 'start')::timestamptz)::float8 AS start,
            extract(epoch FROM (anchors ->> 'end')::timestamptz)::float8 AS end FROM handoff.occasions""",
    "batches": """
        SELECT batch.id, batch.rule_id, occasion.key, batch.state, batch.reason,
            extract(epoch FROM batch.due_at)::float8 AS due, extract(epoch FROM batch.judged_at)::float8 AS judged_at,
            rule.spec ->> 'title' <> batch.rule_id AS anew
        FROM handoff.batches AS batch JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
        JOIN handoff.rule_versions AS rule ON rule.rule_id = batch.rule_id AND rule.version = batch.rule_version
        ORDER BY batch.round""",
    "verdicts": """
        SELECT verdict.batch_id, verdict.ref, contact.email, verdict.included, verdict.reason,
            verdict.facts <> '{}' AS has_facts, extract(epoch FROM verdict.read_at)::float8 AS read_at
        FROM handoff.verdicts AS verdict LEFT JOIN handoff.contacts AS contact ON contact.id = verdict.contact_id""",
    "effects": """
        SELECT handoff.batch_id, effect.handoff_id, handoff.position, contact.email, effect.step_no, effect.state,
            effect.reason, effect.lane_id, lane.held AS lane_held, effect.proof ->> 'message_id' AS message_id,
            extract(epoch FROM effect.intent_at)::float8 AS intent_at,
            extract(epoch FROM effect.settled_at)::float8 AS settled_at
        FROM handoff.effects AS effect JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
        JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
        JOIN handoff.lanes AS lane ON lane.id = effect.lane_id ORDER BY effect.id""",
    "certificates": "SELECT batch_id, listed, handled, excluded, pending, even FROM handoff.certificates",
    "inbox": """
        SELECT occasion_key AS key, (payload ->> 'changed')::float8 AS changed,
            (payload ->> 'cancelled')::boolean AS cancelled FROM handoff.inbox""",
}
OPEN = """
    SELECT 'a batch of ' || rule_id || ' waits (' || reason || ')' AS what FROM handoff.batches
    WHERE state = 'waiting' AND due_at < to_timestamp(%(horizon)s)
    UNION ALL
    SELECT 'an effect is ' || effect.state || ' (' || effect.reason || ')' FROM handoff.effects AS effect
    JOIN handoff.lanes AS lane ON lane.id = effect.lane_id
    WHERE effect.state IN ('planned', 'sending', 'unknown') AND lane.held IS NULL
      AND (lane.ready_at IS NULL OR lane.ready_at < LEAST(to_timestamp(%(horizon)s), %(tomorrow)s))
      AND NOT EXISTS (SELECT FROM handoff.freezes AS frozen WHERE frozen.scope = lane.rests)
    UNION ALL
    SELECT 'a lane is not given back' FROM handoff.lanes WHERE leased_until > clock_timestamp()
    UNION ALL
    SELECT 'no certificate of ' || batch.rule_id FROM handoff.batches AS batch
    WHERE (state = 'judged' OR EXISTS (SELECT FROM handoff.verdicts AS verdict WHERE verdict.batch_id = batch.id))
      AND NOT EXISTS (SELECT FROM handoff.certificates AS certificate WHERE certificate.batch_id = batch.id
        AND certificate.even AND certificate.written_at >= COALESCE((
            SELECT max(effect.settled_at) FROM handoff.effects AS effect
            JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
            WHERE handoff.batch_id = batch.id), batch.judged_at))
    UNION ALL
    SELECT 'the newest plan of ' || plan.key || ' is not known' FROM unnest(%(keys)s::text[], %(changed)s::float8[])
        AS plan (key, changed)
    WHERE NOT EXISTS (SELECT FROM handoff.occasions AS known
        WHERE known.key = plan.key AND known.changed >= plan.changed - 0.01)
    LIMIT 5
"""
ALL_TABLES = "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'handoff'"
NAMING = """
    SELECT FROM handoff.{} AS one
    WHERE strpos(lower(one::text), %(plain)s) > 0 OR strpos(lower(one::text), %(quoted)s) > 0 LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a story is judged by; moments in the rows are unix seconds.

    :param zero: when the story began (unix seconds). :param ended: after how many seconds it ended.
    :param open: what was still to be done when patience ended; empty when it had become quiet.
    :param said: what workers said: reports they acknowledged, stalls of their own.
    :param slowest: seconds that the sandbox took at most to answer when nothing was asked of it.
    :param named: tables in which the person who was erased is still named.
    """

    zero: float
    ended: float
    open: list[str]
    ledger: dict[str, Rows]
    effects: Rows
    calls: dict[str, Any]
    said: Rows
    slowest: float = 0.0
    named: Sequence[str] = ()

    def rows(self, table: str, **where: Any) -> Rows:
        """Return the rows of a table in which these columns have these values."""
        return [row for row in self.ledger[table] if all(row[name] == value for name, value in where.items())]

    def tagged(self, tag: str) -> dict[str, list[dict[str, Any]]]:
        """Return the sandbox's effects of one tag by contact, in order."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for effect in self.effects:
            if effect["action"] == "tag" and effect["detail"]["tag"] == tag:
                found[effect["contact"]].append(effect)
        return found

    def command(self, *words: str) -> dict[str, Any]:
        """Return when a command that begins so ``began`` and ``ended`` (unix seconds); empty: it was not done."""
        return next((said for said in self.said if tuple(said.get("command", ())[: len(words)]) == words), {})

    @property
    def mails(self) -> Rows:
        """The mails that the sandbox accepted, in order."""
        return [effect for effect in self.effects if effect["action"] == "mail"]

    @property
    def stalled(self) -> bool:
        """Whether a worker was not let run for so long that its leases may have ended."""
        return any("stalled" in said for said in self.said)


def read_ledger(url: str) -> dict[str, Rows]:
    """Return the ledger's rows that stories are judged by."""
    with _connect(url) as connection:
        return {name: connection.execute(query.encode()).fetchall() for name, query in TABLES.items()}


def still_open(url: str, zero: float, story: Story) -> list[str]:
    """Return what is still to be done, nothing when the story has become quiet."""
    keys = [date.id for date in story.dates]
    changed = [zero + date.last.since for date in story.dates]
    began = datetime.fromtimestamp(zero, UTC)
    tomorrow = began.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    parameters = {"horizon": zero + FAR, "tomorrow": tomorrow, "keys": keys, "changed": changed}
    with _connect(url) as connection:
        rows = connection.execute(OPEN.encode(), parameters).fetchall()
    return [row["what"] for row in rows]


def naming(url: str, email: str) -> list[str]:
    """Return the tables in which an address stands, however it is spelled."""
    with _connect(url) as connection:
        tables = [row["name"] for row in connection.execute(ALL_TABLES.encode())]
        spelled = {"plain": email, "quoted": quote(email).lower()}
        return [name for name in tables if connection.execute(NAMING.format(name).encode(), spelled).fetchone()]


def _connect(url: str) -> psycopg.Connection[dict[str, Any]]:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True, connect_timeout=5, row_factory=dict_row)
