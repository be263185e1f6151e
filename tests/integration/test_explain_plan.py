"""``handoff explain`` answers within a second however much the ledger holds: it reads no big table as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Engine, event

from benchmarks.explain import FILL
from handoff.contact import Contact
from handoff.ledger.connect import open_ledger
from tests.support.commands import handoff

NUMBERS = {"people": 2_000, "occasions": 100, "rules": 4, "steps": 2, "each": 5}
OF_OTHERS = (
    """
    INSERT INTO handoff.resets (contact_key, rule_id, by, because)
    SELECT key, 'rule_1', 'who', 'why' FROM handoff.contacts
    """,
    """
    INSERT INTO handoff.erased (key) SELECT left(encode(sha256(convert_to('gone' || id, 'UTF8')), 'hex'), 32)
    FROM generate_series(1, 2000) AS id
    """,
    """
    INSERT INTO handoff.opt_ins (effect_id, effect_key, contact_id, contact_key, purpose, channel, wording,
        wording_hash, language, source, account, occasion_key, signed_up_at, mail_sent_at, expires_at)
    SELECT effect.id, 'e' || effect.id, contact.id, contact.key, 'newsletter', 'email', 'Ja.', 'h', 'de', 's', 'a',
        'd1', now(), now(), now()
    FROM handoff.effects AS effect JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
    WHERE effect.step_no = 0 AND handoff.batch_id % 10 = 0
    """,
    "ANALYZE",
)
BIG = """
    SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'handoff' AND relkind = 'r' AND reltuples > 900
"""
"""Contacts and all that is kept of each; of rules, occasions and their batches a real ledger has few as well."""

Asked = list[tuple[str, Any]]


@contextmanager
def heard() -> Iterator[Asked]:
    """Collect the statements that are sent to any database, with their parameters."""
    asked: Asked = []

    def hear(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        asked.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


def read_as_a_whole(plan: dict[str, Any]) -> Iterator[str]:
    """Yield the tables that a plan reads without an index."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from read_as_a_whole(part)


async def test_no_big_table_is_read_as_a_whole(ledger_url: str) -> None:
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        for statement in (*FILL, *OF_OTHERS):
            connection.execute(statement.encode(), NUMBERS if "%(" in statement else None)
        big = {name for (name,) in connection.execute(BIG.encode())}
    assert len(big) == 9, big
    email = "person777@example.org"
    for who in (email, Contact(email=email).key[:12]):
        with heard() as asked:
            said = await handoff(ledger_url, "explain", who, "--json")
        assert [len(rule["effects"]) for rule in said.json["rules"]] == [2] * 5
        assert said.json["resets"]
        assert set(plans(ledger_url, asked)) & big == set()


def plans(url: str, asked: Asked) -> Iterator[str]:
    """Ask for the plan of each statement; yield the tables that it reads as a whole."""
    engine = open_ledger(url)
    with engine.connect() as connection:
        for statement, parameters in asked:
            if "handoff." in statement:
                explained = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
                yield from read_as_a_whole(explained.scalar_one()[0]["Plan"])
    engine.dispose()
