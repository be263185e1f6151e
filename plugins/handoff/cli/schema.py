"""``handoff schema``: the JSON Schema by which editors check rule files."""

from __future__ import annotations

import argparse
from pathlib import Path

from handoff.cli.command import Command
from handoff.rules.schema import rule_schema_text


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", type=Path, metavar="FILE", help="write it to a file instead of printing it")


def _run(arguments: argparse.Namespace) -> int:
    if arguments.write:
        arguments.write.write_text(rule_schema_text(), encoding="utf-8")
    else:
        print(rule_schema_text(), end="")
    return 0


SCHEMA = Command("schema", "Print the JSON Schema of a rule file.", _add_options, _run)
