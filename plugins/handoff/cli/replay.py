"""``handoff replay``: put dead effects back into their places; without a selection, show them."""

from __future__ import annotations

import argparse

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import SHORT_KEY, as_json, moment, table
from handoff.ledger import replays
from handoff.ledger.replays import Dead, Selection
from handoff.reasons import in_words

JSON = (
    "effect_id", "rule_id", "title", "occasion_key", "due_at", "step_no", "step", "account", "reason", "attempts",
    "settled_at", "lane_id", "skipped", "barred",
)  # fmt: skip


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("effects", nargs="*", type=int, metavar="EFFECT", help="ids of refused effects")
    parser.add_argument("--rule", metavar="RULE", help="all refused effects of this rule")
    parser.add_argument("--occasion", metavar="KEY", help="all refused effects of the occasion with this key")
    words = "let them go out however late it is; else what is later than late_after is held"
    parser.add_argument("--allow-late", action="store_true", help=words)
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    selection = Selection(tuple(arguments.effects), arguments.rule, arguments.occasion)

    async def put_back(engine: AsyncEngine) -> tuple[list[Dead], list[int]]:
        async with engine.begin() as connection:
            found = await replays.dead(connection, selection)
            chosen = found if selection else []
            return found, await replays.replay(connection, chosen, late_allowed=arguments.allow_late)

    found, revived = with_ledger(arguments, put_back)
    if arguments.json:
        print(as_json({"dead": list(map(_document, found)), "replayed": sorted(revived)}))
    else:
        print(_text(found, revived) if selection else _list(found))
    # What nothing more can be done about must not sound an alarm for ever.
    return 1 if any(bool(one.barred) is bool(selection) for one in found) else 0


def _document(one: Dead) -> dict[str, object]:
    return {name: getattr(one, name) for name in JSON} | {"contact_key": one.contact_key[:SHORT_KEY]}


def _list(found: list[Dead]) -> str:
    if not found:
        return "No effect was refused."
    head = ("EFFECT", "RULE", "OCCASION", "KEY", "DUE", "CONTACT", "STEP", "WHAT", "ACCOUNT", "REFUSED BECAUSE")
    rows = [
        (one.effect_id, one.rule_id, one.title, one.occasion_key, moment(one.due_at), one.contact_key[:SHORT_KEY],
         one.step_no, one.step, one.account, one.reason)
        for one in found
    ]  # fmt: skip
    how = (
        "To put some back: handoff replay EFFECT..., or handoff replay --rule RULE, or --occasion KEY\n"
        "To leave some: handoff resolve EFFECT... --drop"
    )
    return f"Refused effects: {len(found)}\n{table(head, rows)}\n\n{how}"


def _text(found: list[Dead], revived: list[int]) -> str:
    steps = sum(one.skipped for one in found if one.effect_id in set(revived))
    lines = [f"{len(revived)} refused effects are back in their places, and {steps} steps that were skipped with them."]
    lines += [f"effect {one.effect_id} stays as it is: {in_words(one.barred)}" for one in found if one.barred]
    return "\n".join(lines)


REPLAY = Command("replay", "Put refused effects back into their lanes.", _add_options, _run)
