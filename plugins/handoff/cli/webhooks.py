"""``handoff webhooks``: where other systems push to, what was pushed here, and what became of it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import as_json, moment, table
from handoff.ledger import webhook_counts
from handoff.ledger.webhook_counts import Pushed
from handoff.rules.file import project_rules
from handoff.rules.kinds import KINDS
from handoff.texts.links import VARIABLE, public_url

DAYS = 7
PUSHING = frozenset(source for source, kind in KINDS.items() if kind.pushes)
"""Sources whose accounts can push."""
ADDRESSES, HEAD = ("ACCOUNT", "ADDRESS"), ("ACCOUNT", "ACCEPTED", "REPEATED", "REFUSED", "WAITING", "LAST")
PROOF = (
    "Enter the address in the other system with one of the connection's webhook_secrets: best as the header "
    "X-Webhook-Secret or as a password (Basic); as /SECRET at its end only where it can do nothing else."
)


def _add_options(parser: argparse.ArgumentParser) -> None:
    help_ = f"count the last so many days in UTC, today included ({DAYS})"
    parser.add_argument("--days", type=int, default=DAYS, metavar="NUMBER", help=help_)
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    async def read(engine: AsyncEngine) -> list[Pushed]:
        async with engine.connect() as connection:
            return await webhook_counts.read(connection, min(max(arguments.days, 1), 36_500))

    found, pushed_to = with_ledger(arguments, read), addresses()
    if arguments.json:
        print(as_json({"days": arguments.days, "addresses": pushed_to, "accounts": found}))
    else:
        print("\n\n".join(filter(None, [in_words(pushed_to), as_text(found)])))
    return 1 if any(pushed.problems for pushed in found) else 0


def addresses() -> dict[str, str]:
    """Return where each account that a rule names can push to, without a secret.

    Only a path where Airflow's public address is not known here.
    """
    accounts = sorted({rule.conn_id for rule in project_rules() if rule.source in PUSHING})
    return {account: f"{public_url() or ''}/handoffs/webhooks/{quote(account, safe='')}" for account in accounts}


def in_words(pushed_to: Mapping[str, str]) -> str:
    """Return the addresses and what to do with them, for people; empty when there are none."""
    if not pushed_to:
        return ""
    unknown = [] if public_url() else [f"{VARIABLE} is not set here: put Airflow's public address before these."]
    return "\n".join([table(ADDRESSES, pushed_to.items()), PROOF, *unknown])


def as_text(found: Sequence[Pushed]) -> str:
    """Return what was pushed, for people."""
    if not found:
        return "Nothing was pushed here."
    return table(HEAD, [_cells(pushed) for pushed in found])


def _cells(pushed: Pushed) -> Sequence[object]:
    refused = ", ".join(f"{reason}: {count}" for reason, count in sorted(pushed.refused.items()))
    waiting = f"{pushed.waiting} ({pushed.problems} cannot be recorded)" if pushed.problems else pushed.waiting
    return pushed.account, pushed.accepted, pushed.repeated, refused, waiting, moment(pushed.last_at)


WEBHOOKS = Command("webhooks", "Show where to push, what was pushed here, and what was refused.", _add_options, _run)
