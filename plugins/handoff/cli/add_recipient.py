"""``handoff add-recipient``: let people named by hand be handed over by a rule."""

from __future__ import annotations

import argparse
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.rules import rule_named
from handoff.cli.table import as_json
from handoff.contact import Contact
from handoff.delivery.by_hand import hand_over
from handoff.delivery.consents import refusals
from handoff.errors import HandoffError
from handoff.reasons import in_words
from handoff.recipients import recipients
from handoff.rules.rule import Rule
from handoff.times.given_moments import given_moments

REMEDIES = {
    "no_consent": "--grant {} --wording TEXT --source WHERE",
    "not_confirmed": "--grant {} --wording TEXT --source WHERE --double-opt-in",
    "no_objection_notice": "--notice {} --wording TEXT --source WHERE",
}
"""What to add to ``handoff consent ADDRESS``, with the rule's purpose, when it is so."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rule", metavar="RULE", help="id of the rule")
    parser.add_argument(
        "recipients", metavar="RECIPIENT", nargs="*", help="'Eva Muster <eva@example.org>', or the address"
    )
    parser.add_argument("--file", type=Path, help="text file with one recipient on each line")
    parser.add_argument("--title", default="Test", help="what templates show as the occasion's title (default: Test)")
    parser.add_argument(
        "--moment",
        metavar="NAME=TIME",
        action="append",
        default=[],
        help="what templates show as a moment of the occasion, e.g. start=2026-11-20T18:00:00+01:00 (default: now)",
    )
    parser.add_argument("--language", choices=("de", "en"), help="language of these people (default: the rule's)")
    parser.add_argument(
        "--key", help="a name for this hand-over: the same one again changes nothing (default: a new one)"
    )
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    rule = rule_named(arguments.rule)
    lines = [*arguments.recipients, *(_lines(arguments.file) if arguments.file else [])]
    people = recipients("\n".join(lines), arguments.language or rule.language)
    if not people:
        raise HandoffError("name at least one recipient, or a --file with recipients")
    anchors = given_moments(rule, _named(arguments.moment), "--moment {}")
    key = f"{rule.id}/{arguments.key or uuid.uuid4()}"

    async def work(engine: AsyncEngine) -> tuple[bool, Mapping[str, int]]:
        added = await hand_over(engine, rule, key=key, people=people, title=arguments.title, anchors=anchors)
        return added, await _skipped(engine, rule, people)

    added, skipped = with_ledger(arguments, work)
    if arguments.json:
        given = {"rule": rule.id, "recipients": len(people), "added": added, "occasion": key}
        print(as_json(given | {"will_be_skipped": skipped}))
    elif added:
        print(f"{len(people)} recipients wait for the next run of {rule.id}; its doorbell rings now")
        for reason, count in skipped.items():
            print(f"{count} of {len(people)} will be skipped: {_advice(reason, rule)}")
    else:
        print("this was done before under the same --key; nothing was added")
    return 0


async def _skipped(engine: AsyncEngine, rule: Rule, people: Sequence[Contact]) -> Mapping[str, int]:
    """Return how many would be skipped for which reason, as far as the consent store knows it now."""
    found = await refusals(engine, rule, [person.key for person in people])
    return dict(sorted(Counter(found.values()).items()))


def _advice(reason: str, rule: Rule) -> str:
    words = f"{reason}, {in_words(reason)}"
    remedy = REMEDIES.get(reason, "").format(rule.purpose)
    return f"{words}; if it is so, add it with: handoff consent ADDRESS {remedy}" if remedy else words


def _named(moments: Sequence[str]) -> dict[str, str]:
    """Return the moments' texts by name."""
    found = dict[str, str]()
    for given in moments:
        name, equals, text = given.partition("=")
        if not equals or name in found:
            raise HandoffError(f"--moment {name}: write it once, as {name}=2026-11-20T18:00:00+01:00")
        found[name] = text
    return found


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HandoffError(f"{file} cannot be read: {type(error).__name__}; give a text file in UTF-8") from None


ADD_RECIPIENT = Command("add-recipient", "Hand over people named by hand, now.", _add_options, _run)
