"""The command ``handoff``: what can be done with rules without a running Airflow."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module

from handoff.cli.command import Command
from handoff.errors import HandoffError

COMMANDS = (
    "lint",
    "list",
    "schema",
    "migrate",
    "explain",
    "pending",
    "held",
    "resolve",
    "replay",
    "erase",
    "certificate",
    "retention",
    "rejudge",
    "rehearse",
    "freeze",
    "thaw",
    "frozen",
    "forecast",
    "nps",
    "consent",
    "suppress",
    "add-recipient",
    "reset",
    "webhooks",
)
"""Each is the module of its name, with the command in capitals: ``list.LIST``; ``-`` is ``_`` there."""


def command_of(name: str) -> Command:
    """Return a command; its module is imported only now, because all of them together take long to import."""
    module = name.replace("-", "_")
    command: Command = getattr(import_module(f"handoff.cli.{module}"), module.upper())
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 is well, 1 problems were found, 2 it could not be done."""
    _print_any_text()
    # Not list(): here that is the module of a command, as soon as it is imported.
    words = sys.argv[1:] if argv is None else [*argv]
    named = [name for name in words[:1] if name in COMMANDS]
    arguments = _parser(named or COMMANDS).parse_args(words)
    try:
        return int(arguments.run(arguments))
    except (HandoffError, OSError) as error:
        print(f"handoff {arguments.command}: {error}", file=sys.stderr)
        return 2


def _parser(names: Iterable[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="handoff", description="Check rules, see what waits, and decide.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in map(command_of, names):
        subparser = commands.add_parser(command.name, help=command.help, description=command.help)
        command.add_options(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def _print_any_text() -> None:
    # A terminal that cannot show a character of somebody's rule must not end the command.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
