"""Processes that are started in sessions of their own, so that all their descendants can be found and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

TERM_SECONDS = 5.0
KILL_SECONDS = 5.0
LOG_LINES = 20


@dataclass(frozen=True, slots=True)
class Component:
    """A started process: its name for people, and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The process id, which is also its session's."""
        return self.process.pid


def start(
    name: str, command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path,
    *, stdin: int = subprocess.DEVNULL, stdout: IO[bytes] | None = None, keep: Sequence[int] = (),
) -> Component:  # fmt: skip
    """Start a command in a session of its own, away from the terminal's Ctrl-C.

    :param stdout: another file than the log for its output.
    :param keep: file descriptors that it inherits.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=stdin, stdout=output if stdout is None else stdout, stderr=output,
            env=dict(environment), cwd=folder, start_new_session=True, pass_fds=keep,
        )  # fmt: skip
    return Component(name, process, log)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits to be collected does not."""
    try:
        return psutil.Process(pid).status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return False


def members(sessions: Iterable[int]) -> list[psutil.Process]:
    """Return every process of these sessions and every descendant, also those whose parent has gone."""
    wanted = set(sessions)
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            if process.pid in wanted or os.getsid(process.pid) in wanted:
                found[process.pid] = process
    for process in list(found.values()):
        with suppress(psutil.Error):
            found.update((child.pid, child) for child in process.children(recursive=True))
    return [process for process in found.values() if _runs(process)]


def end(sessions: Iterable[int]) -> None:
    """End these sessions: politely, then by force, until none of their processes is left."""
    sessions = set(sessions)
    _signal(members(sessions), signal.SIGTERM)
    deadline = time.monotonic() + TERM_SECONDS
    while (left := members(sessions)) and time.monotonic() < deadline:
        psutil.wait_procs(left, timeout=0.2)
    deadline = time.monotonic() + KILL_SECONDS
    while (left := members(sessions)) and time.monotonic() < deadline:
        _signal(left, signal.SIGKILL)
        psutil.wait_procs(left, timeout=0.2)


def tail(log: Path, prefix: str = "", lines: int = LOG_LINES) -> str:
    """Return the last lines of a log, or the last of those that begin with ``prefix``."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.startswith(prefix)][-lines:])


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        # psutil compares the start time first, so a process id that was given anew is not hit.
        with suppress(psutil.Error):
            process.send_signal(number)
