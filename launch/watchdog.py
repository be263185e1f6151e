"""Ends everything when the run's owner dies, even by SIGKILL.

It holds the read end of a pipe whose write end only the owner has: when the owner is gone, however it
went, the pipe ends. Lines on it name what is to be ended: ``session PID`` and ``postgres FOLDER``.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from launch import postgres, processes


def main() -> None:
    """Listen until the owner is gone, then end what it named."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sessions: set[int] = set()
    databases: set[Path] = set()
    for line in sys.stdin:
        kind, _, name = line.rstrip("\n").partition(" ")
        if kind == "session":
            sessions.add(int(name))
        elif kind == "ended":
            sessions.discard(int(name))
        elif kind == "postgres":
            databases.add(Path(name))
    processes.end(sessions)
    for folder in databases:
        postgres.stop(folder)


if __name__ == "__main__":
    main()
