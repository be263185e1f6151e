"""What a subcommand of ``handoff`` is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand.

    :param add_options: adds the command's own arguments to its parser.
    :param run: does the work and returns the exit status; may raise ``HandoffError``.
    """

    name: str
    help: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def add_paths(parser: argparse.ArgumentParser) -> None:
    """Let a command take rule files and folders, by default the project's own."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="rule files or folders (include/handoffs)")
