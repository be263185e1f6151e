"""Processes: a whole session is ended, also what was orphaned or does not want to end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from launch import processes

ORPHAN = """
import os, sys, time
if os.fork() == 0:
    if os.fork() == 0:
        os.setpgid(0, 0)
        print(os.getpid(), flush=True)
        time.sleep(60)
    os._exit(0)
os.wait()
"""
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
time.sleep(60)
"""

Start = Callable[[str], tuple[processes.Component, int]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts a script and returns it with the process id that it prints."""

    def started(script: str) -> tuple[processes.Component, int]:
        output = tmp_path / "output"
        with output.open("wb") as stdout:
            component = processes.start(
                "test", [sys.executable, "-c", script], tmp_path / "log", os.environ, tmp_path, stdout=stdout
            )
        deadline = time.monotonic() + 10
        while not output.read_text().strip():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return component, int(output.read_text())

    return started


def test_an_orphan_of_a_session_is_found_and_ended(start: Start) -> None:
    component, orphan = start(ORPHAN)
    component.process.wait(timeout=10)
    assert processes.alive(orphan)
    assert [process.pid for process in processes.members([component.pid])] == [orphan]
    processes.end([component.pid])
    assert not processes.alive(orphan)


def test_what_ignores_a_polite_word_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "TERM_SECONDS", 0.3)
    component, stubborn = start(STUBBORN)
    processes.end([component.pid])
    assert not processes.alive(stubborn)
    component.process.wait(timeout=5)


def test_other_sessions_are_left_alone(start: Start) -> None:
    first, _ = start(STUBBORN.replace("SIG_IGN", "SIG_DFL"))
    second, other = start(STUBBORN)
    processes.end([first.pid])
    assert processes.alive(other)
    psutil.Process(other).kill()
    second.process.wait(timeout=5)
    first.process.wait(timeout=5)


def test_an_ended_process_that_nobody_collected_is_not_alive(start: Start) -> None:
    component, pid = start(STUBBORN)
    psutil.Process(pid).kill()
    deadline = time.monotonic() + 5
    while processes.alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not processes.alive(pid)
    component.process.wait(timeout=5)


def test_the_end_of_a_log_can_be_that_of_one_part(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{part} | {number}\n" for number in range(30) for part in ("scheduler", "triggerer")))
    assert processes.tail(log, "triggerer", lines=2) == "triggerer | 28\ntriggerer | 29"
    assert processes.tail(tmp_path / "missing") == ""
