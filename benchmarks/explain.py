"""How long ``handoff explain`` takes, the whole command, with a million effects in the ledger."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time

import psycopg

from benchmarks.figure import Figure, percentile
from benchmarks.ledger import fresh_ledger
from handoff.contact import Contact

PEOPLE, OCCASIONS, RULES, STEPS = 20_000, 100, 4, 2
EACH = 25
"""Occasions for which a person is listed: 20,000 x 25 handoffs x 2 steps are a million effects."""
ASKED = 20
BAR_SECONDS = 1.0
FILL = (
    """
    INSERT INTO handoff.rule_versions (rule_id, version, hash, spec)
    SELECT 'rule_' || rule, 1, rule::text, jsonb_build_object('title', 'Rule ' || rule, 'who', 'attended')
    FROM generate_series(0, %(rules)s - 1) AS rule
    """,
    """
    INSERT INTO handoff.occasions
        (id, source, account, key, series, title, anchors, timezone, facts, cancelled, changed)
    SELECT id, 'webinaris', 'bench', 'd' || id, 's', 'Webinar ' || id,
        jsonb_build_object('start', at - interval '1 hour', 'end', at), 'Europe/Berlin', '{}', false, 1
    FROM (SELECT id, now() - make_interval(days => id::int) AS at
        FROM generate_series(1, %(occasions)s) AS id) AS occasion
    """,
    """
    INSERT INTO handoff.batches (id, rule_id, rule_version, occasion_id, due_at, wake_at, state, judged_at)
    SELECT id, 'rule_' || id %% %(rules)s, 1, id, at, at, 'judged', at
    FROM (SELECT id, (anchors ->> 'end')::timestamptz AS at FROM handoff.occasions) AS occasion
    """,
    """
    INSERT INTO handoff.contacts (id, key, email, first_name, last_name, phone, language, timezone)
    SELECT id, left(encode(sha256(convert_to('handoff-contact:' || email, 'UTF8')), 'hex'), 32), email, 'Vorname',
        'Nachname', '', 'de', ''
    FROM (SELECT id, 'person' || id || '@example.org' AS email FROM generate_series(1, %(people)s) AS id) AS person
    """,
    """
    INSERT INTO handoff.lanes (id, order_group, name)
    SELECT contact.id * %(rules)s + rule, 'rule_' || rule, contact.key
    FROM handoff.contacts AS contact, generate_series(0, %(rules)s - 1) AS rule
    """,
    """
    INSERT INTO handoff.handoffs (id, batch_id, contact_id, lane_id, position)
    SELECT row_number() OVER (), batch, contact, contact * %(rules)s + batch %% %(rules)s, contact
    FROM (SELECT 1 + (contact + 4 * number + number %% 4) %% %(occasions)s AS batch, contact
        FROM generate_series(0, %(each)s - 1) AS number, generate_series(1, %(people)s) AS contact) AS listed
    """,
    """
    INSERT INTO handoff.registrations (occasion_id, ref, contact_id, unusable, registered_at, presence, read_at)
    SELECT batch_id, 'p' || contact_id, contact_id, '', now() - interval '200 days', '[]', now() FROM handoff.handoffs
    """,
    """
    INSERT INTO handoff.verdicts (batch_id, ref, contact_id, included, reason, facts, moment, read_at)
    SELECT batch_id, 'p' || contact_id, contact_id, true, 'attended',
        '{"online": true, "watched_percent": 82.5, "attended_from_percent": 50}', now(), now() FROM handoff.handoffs
    """,
    """
    INSERT INTO handoff.effects
        (handoff_id, lane_id, step_no, step, account, state, attempts, intent_at, settled_at, proof)
    SELECT id, lane_id, step, 'klicktipp.tag', 'klicktipp_default', 'confirmed', 1, now(), now(), '{"id": 1}'
    FROM handoff.handoffs, generate_series(0, %(steps)s - 1) AS step
    """,
    "ANALYZE",
)


def explain_million() -> list[Figure]:
    """Measure the whole command, from its start as a process to its end, for people chosen by chance."""
    with fresh_ledger() as url:
        numbers = {"people": PEOPLE, "occasions": OCCASIONS, "rules": RULES, "steps": STEPS, "each": EACH}
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in FILL:
                connection.execute(statement.encode(), numbers)
            [effects] = connection.execute("SELECT count(*) FROM handoff.effects").fetchone() or [0]
        dice = random.Random(1)
        seconds = [_asked(url, f"person{dice.randint(1, PEOPLE)}@example.org") for _ in range(ASKED)]
    note = f"95th percentile of {ASKED} people; {effects} effects; the whole command"
    return [Figure("explain_million", percentile(seconds, 0.95), BAR_SECONDS, "s", False, note)]


def _asked(url: str, email: str) -> float:
    """Return the seconds of one command, whose answer must be the whole one."""
    command = [sys.executable, "-m", "handoff.cli", "explain", email, "--json", "--url", url]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    seconds = time.monotonic() - began
    said = json.loads(done.stdout)
    found = [len(rule["effects"]) for rule in said["rules"] if rule["verdicts"]]
    if said["contact"]["key"] != Contact(email=email).key or found != [STEPS] * EACH:
        raise ValueError("the explanation is not the whole one")
    return seconds
