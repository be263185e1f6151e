"""What the delivery engine asks of a target, whoever the vendor is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from handoff.contact import Contact
from handoff.occasion import Occasion
from handoff.rules.steps import Step
from handoff.texts.templates import RuleFacts

Proof = Mapping[str, object]
"""What a target left in our hands as evidence: ids and times, plain JSON, no contact data."""


class Promise(Enum):
    """Which promise applies to a target's effects."""

    SETTLED_BY_READING = "settled by reading"
    AT_MOST_ONCE = "at most once; a doubtful effect is held and listed"


@dataclass(frozen=True, slots=True)
class Call:
    """One effect, ready to go out.

    :param key: stable for ever for this effect (rule, occasion, contact, step); markers and
        Message-IDs are made from it, so that a repeated attempt can be told from a new one.
    :param step: the rule's step with its small templates rendered.
    :param rule: what message templates may know of the rule.
    :param known: proofs of this handoff's earlier confirmed steps at the same account, merged;
        saves a target from asking again for ids it has already given us.
    :param more: further names that templates see: ``answer`` in a rule of answers.
    """

    key: str
    step: Step
    contact: Contact
    occasion: Occasion
    rule: RuleFacts = field(default_factory=RuleFacts)
    known: Proof = field(default_factory=dict)
    more: Mapping[str, object] = field(default_factory=dict)


class Target(Protocol):
    """One account of one vendor, as the delivery engine sees it.

    Implementations raise only the :class:`~handoff.errors.TargetError` family. They make at
    most one attempt per call: repeating is the engine's decision.
    """

    promise: Promise
    settling_seconds: float
    """How long the target may take until an effect it accepted can be read back."""

    async def prepare(self, step: Step) -> None:
        """Do ahead of the moment what needs no contact: connect, log in, resolve names; change nothing.

        :raises TargetError: when that cannot be done; the calls will say so themselves.
        """
        ...

    def coalesces(self, call: Call) -> bool:
        """Whether the call may leave together with others in one request.

        Then no slot of the account's rate limit is reserved for it alone before it is sent.
        """
        ...

    def slot(self) -> AbstractAsyncContextManager[None]:
        """Wait for a place among the calls that the account's connections carry at once.

        It is taken before an effect is announced and kept until :meth:`send` has returned: so what is announced leaves
        at once, and what waits can still be frozen or cancelled. Without such a bound it costs nothing.
        """
        ...

    async def send(self, call: Call) -> Proof:
        """Carry out the effect once, within a :meth:`slot`, and return its proof.

        :raises TargetError: the subclass says what is known about the effect.
        """
        ...

    async def seen(self, call: Call) -> Proof | None:
        """Read back whether the effect is there: its proof, or ``None`` when it is not.

        Only asked of targets that promise ``SETTLED_BY_READING``, for steps that are ``readable``,
        and never earlier than ``settling_seconds`` after the attempt.

        :raises TargetError: when the target cannot be read now.
        """
        ...

    async def close(self) -> None:
        """Release connections; safe to call twice."""
        ...


def effect_key(rule_id: str, occasion: Occasion, contact_key: str, step_no: int, number: int = 0) -> str:
    """Return the effect's stable name, the same for every attempt, for ever.

    :param number: of the round, see :class:`handoff.ledger.schema.Batch`; no part of the first round's names.
    """
    parts = [rule_id, occasion.source, occasion.account, occasion.key, contact_key, str(step_no)]
    parts += [str(number)] if number else []
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
