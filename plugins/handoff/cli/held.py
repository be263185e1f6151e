"""``handoff held``: everything that waits for a person, and what would let it go on."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import SHORT_KEY, as_json, moment, table
from handoff.ledger import holding
from handoff.ledger.holding import Held
from handoff.reasons import in_words

BATCHES = ("BATCH", "RULE", "OCCASION", "DUE", "LISTED", "DECIDE", "REASON")
EFFECTS = ("EFFECT", "RULE", "OCCASION", "DUE", "CONTACT", "STEP", "WHAT", "ACCOUNT", "DECIDE", "REASON")
LANES = ("LANE", "GROUP", "NAME", "WAITING", "DECIDE", "REASON")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rule", nargs="?", metavar="RULE", help="id of one rule (all)")
    parser.add_argument("--show-contacts", action="store_true", help="show e-mail addresses too")
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    async def read(engine: AsyncEngine) -> Held:
        async with engine.connect() as connection:
            return await holding.held(connection, arguments.rule)

    found = with_ledger(arguments, read)
    if arguments.json:
        print(as_json(_document(found, arguments.show_contacts)))
    else:
        print("\n\n".join(_text(found, arguments.show_contacts)) if found else "Nothing is held.")
    return 1 if found else 0


def release_of(row: dict[str, Any]) -> list[str]:
    """Return the commands one of which would let a held thing go on."""
    if "batch_id" in row:
        return [f"handoff resolve batch:{row['batch_id']} {choice}" for choice in ("--send-again", "--drop")]
    effect = row["decide_first"] or row.get("effect_id")
    if effect is None:
        return [f"handoff resolve lane:{row['lane_id']} --send-again"]
    return [f"handoff resolve {effect} {choice}" for choice in ("--sent", "--send-again", "--drop")]


def _document(found: Held, with_contacts: bool) -> dict[str, Any]:
    return {
        "batches": [{**row, "release": release_of(row)} for row in found.batches],
        "effects": [
            {name: value for name, value in row.items() if with_contacts or name != "email"}
            | {"contact_key": row["contact_key"][:SHORT_KEY], "release": release_of(row)}
            for row in found.effects
        ],
        "lanes": [{**row, "name": row["name"][:SHORT_KEY], "release": release_of(row)} for row in found.lanes],
    }


def _text(found: Held, with_contacts: bool) -> Iterator[str]:
    if found.batches:
        yield f"Held batches: {len(found.batches)}\n{table(BATCHES, map(_batch, found.batches))}"
    if found.effects:
        rows = (_effect(row, with_contacts) for row in found.effects)
        yield f"Held effects: {len(found.effects)}\n{table(EFFECTS, rows)}"
    if found.lanes:
        yield f"Held lanes: {len(found.lanes)}\n{table(LANES, map(_lane, found.lanes))}"


def _batch(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        row["batch_id"], row["rule_id"], row["title"], moment(row["due_at"]), row["listed"], _release(row),
        in_words(row["reason"]),
    )  # fmt: skip


def _effect(row: dict[str, Any], with_contacts: bool) -> tuple[object, ...]:
    return (
        row["effect_id"], row["rule_id"], row["title"], moment(row["due_at"]),
        row["email"] if with_contacts else row["contact_key"][:SHORT_KEY],
        row["step_no"], row["step"], row["account"], _release(row), in_words(row["reason"]),
    )  # fmt: skip


def _lane(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        row["lane_id"], row["order_group"], row["name"][:SHORT_KEY], row["waiting"], _release(row),
        in_words(row["reason"]),
    )  # fmt: skip


def _release(row: dict[str, Any]) -> str:
    """Return the choices in short: ``handoff resolve 4711 --sent | --send-again | --drop``."""
    first, *others = release_of(row)
    return " | ".join([first, *(command.rsplit(" ", 1)[-1] for command in others)])


HELD = Command("held", "Show everything that waits for a person, and how to decide.", _add_options, _run)
