"""What ``make run`` prints for another terminal works there as it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from launch.report import commands_line


def test_it_can_be_typed_into_a_shell(ledger_url: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    line = commands_line(ledger_url)
    environment = {name: value for name, value in os.environ.items() if name != "HANDOFF_LEDGER_URL"}
    done = subprocess.run(
        ["sh", "-c", line], env=environment, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "Nothing waits.\n", "")
    assert "\n" not in line


def test_a_folder_with_odd_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.executable", str(tmp_path / "it's here" / "python"))
    url = "postgresql+psycopg://postgres@/handoffs?host=%2Ftmp%2Fa&b=1"
    done = subprocess.run(
        ["sh", "-c", commands_line(url).split(";")[0] + '; printf %s "$HANDOFF_LEDGER_URL"'],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == url
    assert commands_line(url).endswith("""'it'"'"'s here/handoff' pending""")
