"""From a list and a moment to verdicts, one for every entry the source lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from handoff.audience import listed as by_name
from handoff.ledger.registrations import Listed
from handoff.ledger.verdicts import Judged
from handoff.occasion import BY_HAND, Occasion
from handoff.registration import Registration
from handoff.rules.rule import Rule


def judge_list(
    rule: Rule, occasion: Occasion, batch_id: int, moment: datetime, listed: Sequence[Listed]
) -> Iterator[Judged]:
    """Judge every entry for the batch's moment, in the order of registration.

    Somebody listed several times is one person: judged once, by all their stays together, at
    their first entry's place; the later entries are excluded as ``duplicate``.

    :param listed: in the order of registration, as the ledger returns them.
    """
    merged = _merged(listed)
    seen: set[int] = set()
    for position, entry in enumerate(listed):
        if entry.contact_id is None:
            yield Judged(entry.registration.ref, None, position, False, entry.unusable, "", {})
        elif entry.contact_id in seen:
            yield Judged(entry.registration.ref, entry.contact_id, position, False, "duplicate", "", {})
        else:
            seen.add(entry.contact_id)
            yield _judged(rule, occasion, batch_id, moment, position, entry, merged[entry.contact_id])


def _merged(listed: Sequence[Listed]) -> dict[int, Registration]:
    people: dict[int, Registration] = {}
    for entry in listed:
        if entry.contact_id is None:
            continue
        first = people.get(entry.contact_id)
        people[entry.contact_id] = (
            replace(first, presence=first.presence + entry.registration.presence) if first else entry.registration
        )
    return people


def _judged(
    rule: Rule, occasion: Occasion, batch_id: int, moment: datetime, position: int, entry: Listed, person: Registration
) -> Judged:
    # Who is named by hand is meant, whatever the rule's audience.
    by_hand = occasion.source == BY_HAND
    judgement = by_name("by_hand", moment, occasion) if by_hand else rule.judge(person, moment, occasion)
    lane = f"batch:{batch_id}" if rule.order == "strict" else entry.contact_key
    return Judged(
        ref=entry.registration.ref,
        contact_id=entry.contact_id,
        position=position,
        included=judgement.included,
        reason=judgement.reason,
        lane=lane if judgement.included else "",
        facts=judgement.facts,
    )
