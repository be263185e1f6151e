"""``handoff explain``: why a person was or was not handed over."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import as_json, moment, table
from handoff.ledger import explanations, opt_ins, people, resets
from handoff.ledger.explanations import Consideration
from handoff.ledger.people import Person
from handoff.ledger.unconfirmed import Awaited, awaited
from handoff.reasons import end_in_words, in_words

STATES = {
    "waiting": "listed, not judged yet: waits for its moment",
    "held": "listed, not judged: the whole batch is held",
    "cancelled": "listed, not judged: the batch was cancelled",
    "missed": "listed, not judged: the batch was missed",
    "skipped": "listed, not judged: the batch was late and skipped",
}


class Known(NamedTuple):
    """What the ledger knows of somebody; ``person`` is ``None`` for who is not known."""

    person: Person | None
    considered: list[Consideration]
    resets: list[RowMapping]
    opt_ins: list[RowMapping]
    awaited: list[Awaited]


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("contact", metavar="CONTACT", help="e-mail address, or contact key (8 digits or more of it)")
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    async def read(engine: AsyncEngine) -> Known:
        async with engine.connect() as connection:
            person = await people.find(connection, arguments.contact)
            if person is None or person.contact_id is None:
                return Known(person, [], [], [], [])
            considered = await explanations.considerations(connection, person.contact_id)
            again = await resets.of_contact(connection, person.key)
            asked = await opt_ins.of_contact(connection, person.key)
            return Known(person, considered, again, asked, await awaited(connection, person.contact_id))

    known = with_ledger(arguments, read)
    if arguments.json:
        print(as_json(_document(known)))
    else:
        print("\n".join(_text(known)))
    return 1 if known.person is None else 0


def _document(known: Known) -> dict[str, Any]:
    person = known.person
    contact = {"key": person.key, "email": person.email, "erased_at": person.erased_at} if person else None
    return {
        "known": person is not None,
        "contact": contact,
        "resets": list(map(dict, known.resets)),
        "opt_ins": list(map(dict, known.opt_ins)),
        "awaited": [one._asdict() for one in known.awaited],
        "rules": list(map(_rule, known.considered)),
    }


def _rule(one: Consideration) -> dict[str, Any]:
    batch = one.batch
    return {
        "rule": batch["rule_id"],
        "rule_version": batch["rule_version"],
        "rule_title": batch["rule_title"],
        "who": batch["who"],
        "occasion": {name: batch[name] for name in ("source", "account", "key", "title", "anchors", "cancelled")},
        "batch": {name: batch[name] for name in ("batch_id", "state", "reason", "due_at", "wake_at", "judged_at")},
        "listed": [{name: entry[name] for name in ("ref", "registered_at", "read_at")} for entry in one.entries],
        "verdicts": [_verdict(verdict) for verdict in one.verdicts],
        "why_not": _why_not(one),
        "effects": [
            {name: value for name, value in effect.items() if name != "batch_id"} | {"waits_for": _waits_for(effect)}
            for effect in one.effects
        ],
    }


def _verdict(verdict: RowMapping) -> dict[str, Any]:
    kept = {name: value for name, value in verdict.items() if name != "batch_id"}
    return kept | {"words": _verdict_words(verdict)}


def _verdict_words(verdict: RowMapping) -> str:
    return f"{'handed over' if verdict['included'] else 'left out'}: {in_words(verdict['reason'], verdict['facts'])}"


def _why_not(one: Consideration) -> str | None:
    """Return why somebody who is listed has no verdict, ``None`` when there is one."""
    batch = one.batch
    if one.verdicts:
        return None
    if batch["state"] in STATES:
        overdue = batch["state"] == "waiting" and batch["due_at"] < datetime.now(UTC)
        reason = in_words(batch["reason"]) if batch["reason"] else "the moment has passed" if overdue else ""
        return f"{STATES[batch['state']]}{f' ({reason})' if reason else ''}"
    if one.entries and one.entries[0]["registered_at"] > batch["due_at"]:
        return f"left out: {in_words('registered_later')}"
    return "not judged: the entry was not in the source's list when the others were judged"


def _waits_for(effect: RowMapping) -> str:
    if effect["state"] not in {"planned", "unknown"}:
        return ""
    if effect["lane_held"]:
        return f"lane {effect['lane_id']} is held: {effect['lane_held']}"
    return f"waits until {end_in_words(effect['lane_rests'])} (handoff pending)" if effect["lane_rests"] else ""


def _text(known: Known) -> Iterator[str]:
    person = known.person
    if person is None:
        yield "Nothing is known of this person: no source has listed the address (or key)."
        return
    yield f"Contact {person.key}  {person.email}".rstrip()
    if person.erased_at:
        yield f"Erased at {moment(person.erased_at)}: only the key is left; nothing is handed over any more."
    if not known.considered:
        yield "No rule has considered this person."
    for reset in known.resets:
        why = f": {reset['because']}" if reset["because"] else ""
        by = f" by {reset['by']}" if reset["by"] else ""
        yield f"Reset for {reset['rule']} at {moment(reset['at'])}{by}{why}; handovers before do not count any more."
    yield from map(_asked, known.opt_ins)
    for one in known.awaited:
        yield (
            f"{one.rule} waits until {one.title} ({one.source} {one.occasion}) is confirmed by the provider "
            "(unbestätigt, confirmed_only)."
        )
    for considered in known.considered:
        yield from ("", *_paragraph(considered))


def _asked(opt_in: RowMapping) -> str:
    """Return what became of a confirmation mail."""
    end = f"not confirmed; the link works until {moment(opt_in['expires_at'])}"
    if opt_in["confirmed_at"]:
        end = f"confirmed at {moment(opt_in['confirmed_at'])}"
    elif opt_in["expires_at"] < datetime.now(UTC):
        end = f"not confirmed; the link expired at {moment(opt_in['expires_at'])}"
    again = f", reminded at {moment(opt_in['reminded_at'])}" if opt_in["reminded_at"] else ""
    mail = f"at {moment(opt_in['asked_at'])}{again} (mail {opt_in['mail']})"
    return f"Asked by {opt_in['rule']} to confirm {opt_in['purpose']} {mail}: {end}."


def _paragraph(one: Consideration) -> Iterator[str]:
    batch = one.batch
    yield f"{batch['rule_id']} version {batch['rule_version']} (for: {batch['who']})  {batch['rule_title'] or ''}"
    anchors = ", ".join(f"{name} {moment(datetime.fromisoformat(at))}" for name, at in batch["anchors"].items())
    yield f"  occasion  {batch['title']} ({batch['source']} {batch['key']}): {anchors}"
    yield f"  due       {moment(batch['due_at'])}"
    if one.entries:
        entry = one.entries[0]
        yield f"  listed    registered {moment(entry['registered_at'])}, read {moment(entry['read_at'])}"
    for verdict in one.verdicts:
        yield f"  verdict   {_verdict_words(verdict)}"
        facts = ", ".join(f"{name} {value}" for name, value in verdict["facts"].items() if name != "moment")
        yield f"  judged    {moment(verdict['judged_at'])}, for the moment {moment(verdict['moment'])}"
        yield f"  facts     {f'{facts}; ' if facts else ''}read {moment(verdict['read_at'])}"
    if why_not := _why_not(one):
        yield f"  verdict   {why_not}"
    if one.effects:
        head = ("EFFECT", "STEP", "WHAT", "ACCOUNT", "STATE", "ATTEMPTS", "INTENT", "SETTLED", "PROOF", "REASON")
        yield from (f"  {line}" for line in table(head, map(_effect, one.effects)).splitlines())


def _effect(effect: RowMapping) -> tuple[object, ...]:
    proof = ", ".join(f"{name}={value}" for name, value in (effect["proof"] or {}).items())
    reason = "; ".join(filter(None, [in_words(effect["reason"]) if effect["reason"] else "", _waits_for(effect)]))
    return (
        effect["effect_id"], effect["step_no"], effect["step"], effect["account"], effect["state"],
        effect["attempts"], moment(effect["intent_at"]), moment(effect["settled_at"]), proof, reason,
    )  # fmt: skip


EXPLAIN = Command("explain", "Say why a person was or was not handed over, by every rule.", _add_options, _run)
