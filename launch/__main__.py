"""``python -m launch``: run everything on this machine (``make run``)."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from rich.console import Console

from launch.interruption import Interrupted, Interruption
from launch.main_job import MainJob
from launch.report import commands_line, push_lines, show
from launch.settings import LaunchError, Settings
from launch.stack import Stack

WIDTH = 150
"""Of the tables when the output is no terminal."""
FOR_EVER = float("inf")


def main() -> int:
    """Run; return 0, or 1 when something failed or, with ``--once``, not everything arrived exactly once."""
    options = _options()
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=WIDTH)
    interruption = Interruption(options.end_with_parent)
    try:
        return _run(options, console, interruption)
    except LaunchError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(str(error), style="red", markup=False)
        return 1
    except Interrupted as interrupted:
        console.print("Everything has ended.")
        return 0 if interrupted.number == signal.SIGINT and not options.once else 128 + interrupted.number


def _run(options: argparse.Namespace, console: Console, interruption: Interruption) -> int:
    began = time.monotonic()

    def progress(words: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {words}", markup=False)

    with Stack(Settings.from_environment(options.scenario), progress, interruption.check) as stack:
        outcome = MainJob(stack, progress).run()
        show(console, outcome, stack.urls)
        if options.once:
            return 0 if outcome.exact else 1
        # Each on one line however long, to be copied.
        for line in [*push_lines(stack.push_url, stack.urls.sandbox), f"Commands: {commands_line(stack.ledger_url)}"]:
            console.print(line, markup=False, soft_wrap=True)
        console.print("[bold]Ctrl-C ends everything.[/bold]")
        stack.wait_for(lambda: False, "", FOR_EVER)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m launch",
        description="Embedded PostgreSQL, the sandbox and Airflow on this machine, and the main job on them.",
        epilog="Environment: PORT (8080), SANDBOX_PORT (8091), SMTP_PORT (8025), HANDOFFS_RUN (.run of the checkout).",
    )
    parser.add_argument("--once", action="store_true", help="end after the table; status 0 only if all is right")
    parser.add_argument("--scenario", type=Path, help="YAML file with another world for the sandbox")
    parser.add_argument("--end-with-parent", action="store_true", help="end when the parent process does")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
