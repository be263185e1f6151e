"""What the ledger says of a run's occasions: who was left out and why, and what is still open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Engine, text

LEFT_OUT = text("""
    SELECT batch.rule_id, occasion.title, verdict.reason,
        COALESCE(NULLIF(contact.email, ''), 'entry ' || verdict.ref) AS who
    FROM handoff.verdicts AS verdict
    JOIN handoff.batches AS batch ON batch.id = verdict.batch_id
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    LEFT JOIN handoff.contacts AS contact ON contact.id = verdict.contact_id
    WHERE occasion.key = ANY(:keys) AND NOT verdict.included
    ORDER BY batch.due_at, batch.rule_id, occasion.title, verdict.reason, verdict.id
""")
OPEN = text("""
    SELECT count(*) FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE occasion.key = ANY(:keys) AND effect.state IN ('planned', 'sending', 'unknown')
""")
TROUBLE = text("""
    SELECT batch.rule_id, contact.email, effect.step, effect.state, effect.reason, count(*) OVER () AS total
    FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
    JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE occasion.key = ANY(:keys) AND effect.state <> 'confirmed'
    ORDER BY effect.id LIMIT 20
""")
ANSWER = text("SELECT id || '/' || version FROM handoff.answers WHERE via = 'own' AND ref = :effect_key")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One entry of a list that a rule did not hand over.

    :param who: the address, or the source's id of the entry when it has no usable one.
    """

    rule_id: str
    title: str
    reason: str
    who: str


class Ledger:
    """Reads the ledger about some occasions.

    :param keys: the occasions' names; answers join them when they are asked for.
    """

    def __init__(self, engine: Engine, keys: Iterable[str]) -> None:
        self._engine, self._parameters = engine, {"keys": list(keys)}

    def answer_key(self, effect_key: str) -> str | None:
        """Return the name of the answer to a survey's mail, ``None`` while there is none."""
        with self._engine.connect() as connection:
            key: str | None = connection.execute(ANSWER, {"effect_key": effect_key}).scalar_one_or_none()
        if key is not None:
            self._parameters["keys"].append(key)
        return key

    def left_out(self) -> list[LeftOut]:
        """Return everybody who was left out, by rule and reason."""
        with self._engine.connect() as connection:
            rows = connection.execute(LEFT_OUT, self._parameters).all()
        return [LeftOut(row.rule_id, row.title, row.reason, row.who) for row in rows]

    def open_effects(self) -> int:
        """Return how many effects have no outcome yet."""
        with self._engine.connect() as connection:
            return int(connection.execute(OPEN, self._parameters).scalar_one())

    def trouble(self) -> list[str]:
        """Return a line for each effect that was not confirmed, twenty at most."""
        with self._engine.connect() as connection:
            rows = connection.execute(TROUBLE, self._parameters).all()
        return [f"{row.rule_id}, {row.email}, {row.step}: {row.state} {row.reason}".rstrip() for row in rows]
