"""The command ``handoff``: its output and exit status, without an Airflow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from handoff.cli import main

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFFS_HOME", str(ROOT))


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.yaml"
    path.write_text(
        "id: b\ntitle: B\nwhen: {minutes: 1, after: end}\nwho: onlin\nsteps: [{step: klicktipp.tag, tag: T}]\n"
    )
    return path


def test_lint_of_what_ships(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint"]) == 0
    assert capsys.readouterr().out == "OK: 12 rules, no problems\n"


def test_lint_finds_a_problem(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(broken)]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f'{broken}:4:6: who: unknown value "onlin"\n')
    assert "  did you mean: online\n" in out
    assert out.endswith("\n1 problem in 1 file; read as rules: 0\n")


def test_lint_as_json(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--json", str(broken), str(ROOT / "include" / "handoffs")]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert "webinar_attended" in {rule["id"] for rule in report["rules"]}
    [problem] = report["problems"]
    assert (problem["path"], problem["line"], problem["column"], problem["field"]) == (str(broken), 4, 6, "who")
    assert problem["did_you_mean"] == "online"
    assert problem["valid"] == ["registered", "attended", "not_attended", "online", "not_online"]


def test_lint_with_other_templates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--templates", str(tmp_path)]) == 1
    assert "webinar_missed" in capsys.readouterr().out


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["RULE", "WHEN", "WHO", "STEPS"]
    [missed] = [row for row in rows if row.startswith("webinar_missed ")]
    assert "1 minute after the end" in missed
    assert missed.endswith("not attended (Nicht teilgenommen), from 50 % of the webinar on  klicktipp.tag > email")


def test_list_says_that_there_are_problems(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", str(broken)]) == 1
    assert "handoff lint" in capsys.readouterr().err


def test_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    printed = capsys.readouterr().out
    assert main(["schema", "--write", str(tmp_path / "s.json")]) == 0
    assert (tmp_path / "s.json").read_text(encoding="utf-8") == printed
    assert json.loads(printed)["title"] == "Handoff rule"


def test_what_cannot_be_done_is_said_without_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--write", str(tmp_path / "no" / "s.json")]) == 2
    assert "handoff schema: " in capsys.readouterr().err


def test_lint_needs_no_airflow_and_any_terminal_will_do(tmp_path: Path) -> None:
    rule = (ROOT / "include" / "handoffs" / "pitch_seen.yaml").read_text(encoding="utf-8")
    (tmp_path / "r.yaml").write_text(rule.replace("who: online", "who: Jürgen"), encoding="utf-8")
    code = (
        "import sys; from handoff.cli import main; status = main(sys.argv[1:]);"
        "print(sorted({'airflow', 'aiohttp', 'requests'} & set(sys.modules))); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "lint", str(tmp_path)],
        env={"PYTHONPATH": str(ROOT / "plugins"), "PYTHONIOENCODING": "ascii", "HANDOFFS_HOME": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "J\\xfcrgen" in done.stdout
    assert done.stdout.endswith("\n[]\n")


def test_it_runs_as_a_module_where_folders_were_dropped_in() -> None:
    environment = {"PYTHONPATH": str(ROOT / "plugins"), "HANDOFFS_HOME": str(ROOT)}
    command = [sys.executable, "-m", "handoff.cli", "list"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "webinar_missed" in done.stdout
