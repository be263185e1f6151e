"""The command ``handoff``: what can be done with rules without a running Airflow."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

from handoff.cli.lint import LINT
from handoff.cli.list import LIST
from handoff.cli.migrate import MIGRATE
from handoff.cli.schema import SCHEMA
from handoff.errors import HandoffError

COMMANDS = (LINT, LIST, SCHEMA, MIGRATE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 is well, 1 problems were found, 2 it could not be done."""
    _print_any_text()
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (HandoffError, OSError) as error:
        print(f"handoff {arguments.command}: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="handoff", description="Check and list handoff rules.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        subparser = commands.add_parser(command.name, help=command.help, description=command.help)
        command.add_options(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def _print_any_text() -> None:
    # A terminal that cannot show a character of somebody's rule must not end the command.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    raise SystemExit(main())
