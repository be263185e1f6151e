"""Rule files: every way to be wrong is said with its place, and never hides another file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handoff.rules.file import RuleFileError, load, load_folder, load_paths
from handoff.rules.problem import RuleProblem

GOOD = """\
id: thanks
title: Thanks
when: {minutes: 10, after: end}
who: attended
steps:
  - step: klicktipp.tag
    tag: Da
"""


def problems_of(folder: Path, text: str | bytes) -> list[RuleProblem]:
    path = folder / "rule.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RuleFileError) as caught:
        load(path)
    return caught.value.problems


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_a_file_is_understood_anew_only_when_it_says_something_else(tmp_path: Path) -> None:
    path = tmp_path / "thanks.yaml"
    path.write_text(GOOD)
    first = load(path)
    assert load(path) is first
    path.write_text(changed("title: Thanks", "title: Other"))
    assert load(path).rule.title == "Other"
    path.write_text(GOOD + "nonsense: 1\n")
    for _ in range(2):
        with pytest.raises(RuleFileError):
            load(path)


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "thanks.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + changed("Da", "Schön, daß du da bist 🎉").encode())
    file = load(path)
    assert file.rule.steps[0].tag == "Schön, daß du da bist 🎉"  # type: ignore[union-attr]
    assert (file.path, file.rule.id) == (path, "thanks")


@pytest.mark.parametrize("word", ["no", "12:30", "2026-03-24", "010", "1.5", "on"])
def test_what_looks_like_text_is_text(tmp_path: Path, word: str) -> None:
    path = tmp_path / "thanks.yaml"
    path.write_text(changed("tag: Da", f"tag: {word}"))
    assert load(path).rule.steps[0].tag == word  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("old", "new", "place", "field", "what", "meant", "more"),
    [
        ("klicktipp.tag", "klicktip.tag", (6, 11), "steps[0].step", 'unknown step "klicktip.tag"', "klicktipp.tag", ""),
        ("- step:", "- stepp:", (6, 5), "steps[0]", 'field "step" is missing, there is "stepp"', "step", ""),
        ("    tag:", "    tags:", (7, 5), "steps[0].tags", 'unknown field "tags"', "tag", "conn_id"),
        ("who:", "whom:", (4, 1), "whom", 'unknown field "whom"', "who", "attended_from_percent"),
        ("minutes", "minuten", (3, 8), "when.minuten", 'unknown field "minuten"', "minutes", "hours"),
        ("attended", "atended", (4, 6), "who", 'unknown value "atended"', "attended", "not_online"),
        ("attended", "Gerade Online", (4, 6), "who", 'unknown value "Gerade Online"', "online", "not_online"),
        ("end}", "ende}", (3, 28), "when.after", 'unknown value "ende"', "end", "start"),
        ("end}", "end, before: start}", (3, 7), "when", "both anchors", "", "name one moment"),
        (", after: end", "", (3, 7), "when", "no anchor is given", "", "name one moment"),
        ("minutes: 10, ", "", (3, 7), "when", "no length of time", "", "minutes: 0"),
        ("minutes: 10", "minutes: -1", (3, 17), "when.minutes", "-1 is out of range", "", "from 0 to"),
        ("minutes: 10", "minutes: 1.5", (3, 17), "when.minutes", 'expected a whole number, got "1.5"', "", ""),
        ("who:", "late_after: {minutes: 0}\nwho:", (4, 13), "late_after", "would be late", "", "{minutes: 1}"),
        ("who:", "late_after: {days: 0}\nwho:", (4, 13), "late_after", "would be late", "", "leave late_after"),
        ("id: thanks", "id: Thank You", (1, 5), "id", '"Thank You" cannot be used as a name', "", "small letters"),
        ("title: Thanks\n", "", (1, 1), "title", 'field "title" is missing', "", "add title: "),
        ("tag: Da", "tag: 2026", (7, 10), "steps[0].tag", "expected text, got 2026", "", 'quotes: "2026"'),
        ("tag: Da", 'tag: ""', (7, 10), "steps[0].tag", "the text is empty", "", ""),
        ("tag: Da", "tag:", (7, 9), "steps[0].tag", "expected text, got nothing", "", ""),
        ("title: Thanks", "title: Thanks\ntags: a", (3, 7), "tags", 'expected a list, got "a"', "", '"- "'),
        ("title: Thanks", "title: Thanks\nid: two", (3, 1), "id", "is given twice; it came first in line 1", "", ""),
        ("who:", "again: einmal\nwho:", (4, 8), "again", 'unknown value "einmal"', "never", "{days: 90}"),
        ("who:", "again: {dayz: 9}\nwho:", (4, 9), "again.dayz", 'unknown field "dayz"', "days", "days"),
        ("who:", "again: {days: 0}\nwho:", (4, 15), "again.days", "0 is out of range", "", "from 1 to 3650"),
        ("who:", "late_after: {days: 1, then: skp}\nwho:", (4, 29), "late_after.then", 'value "skp"', "skip", "hold"),
        ("who:", "late_after: {then: skip}\nwho:", (4, 13), "late_after", "no length of time", "", "hours"),
        ("who:", "late_after: {days: 0, then: skip}\nwho:", (4, 13), "late_after", "would be late", "", "minutes: 1"),
        ("who:", "window: {not_before: 08:00}\nwho:", (4, 9), "window", "holds nothing back", "", "give the window"),
        ("who:", "windows: {not_before: 08:00}\nwho:", (4, 1), "windows", "unknown field", "window", "again"),
        ("    tag: Da", "    tag: Da\n    tag: Du", (8, 5), "steps[0].tag", "it came first in line 7", "", ""),
        ("Thanks", "Thanks: you", (2, 14), "", "the YAML does not parse", "", "quotes"),
        ("title", "\ttitle", (2, 1), "", "the YAML does not parse", "", "tabs"),
        ("Da", "{{ contact.first_name }}", (7, 11), "", "the YAML does not parse", "", "put a template in quotes"),
        ("Da", "*Da", (7, 10), "", "the YAML does not parse", "", "begins with *"),
        ("Da\n", "Da\n---\nid: b\n", (8, 1), "", "the YAML does not parse", "", "one rule a file"),
        ("Da\n", '"Da\n', (7, 10), "", "the YAML does not parse", "", "close the quote"),
        ("Da", "D\x01a", (7, 11), "", "a control character", "", ""),
    ],
)
def test_one_mistake_is_one_problem_with_its_place(
    tmp_path: Path, old: str, new: str, place: tuple[int, int], field: str, what: str, meant: str, more: str
) -> None:
    [problem] = problems_of(tmp_path, changed(old, new))
    assert what in problem.what
    assert (problem.field, problem.did_you_mean) == (field, meant)
    assert more in " ".join((problem.right, *problem.valid))
    assert (problem.line, problem.column) == place


@pytest.mark.parametrize(
    ("window", "column", "field", "what", "meant", "more"),
    [
        ("{}", 13, "", "the window says nothing", "", "not_before"),
        ("{to: 08:00}", 14, ".to", 'unknown field "to"', "", "not_after"),
        ("{not_befor: 08:00}", 14, ".not_befor", "unknown field", "not_before", "holidays"),
        ("{not_before: 8:00}", 26, ".not_before", "no time of day", "08:00", "hours and minutes"),
        ("{not_after: 20}", 25, ".not_after", "no time of day", "", '"08:00"'),
        ("{not_after: 25:00}", 25, ".not_after", "no time of day", "", '"24:00"'),
        (
            "{not_before: 22:00, not_after: 06:00}",
            13,
            "",
            "the window never opens",
            '{not_before: "06:00", not_after: "22:00"}',
            "quiet hours",
        ),
        ("{weekdays: [mon, Dienstag]}", 30, ".weekdays[1]", 'unknown value "Dienstag"', "tue", "sun"),
        ("{weekdays: [so]}", 25, ".weekdays[0]", 'unknown value "so"', "sun", "mon"),
        ("{weekdays: []}", 24, ".weekdays", "the list is empty", "", "at least one"),
        ("{weekdays: mon}", 24, ".weekdays", "expected a list", "", '"- "'),
        ("{holidays: Bayern}", 24, ".holidays", 'unknown value "Bayern"', "BY", "NW"),
        ("{holidays: by}", 24, ".holidays", 'unknown value "by"', "BY", "NW"),
    ],
)
def test_a_wrong_window_is_told_with_its_place(
    tmp_path: Path, window: str, column: int, field: str, what: str, meant: str, more: str
) -> None:
    [problem] = problems_of(tmp_path, changed("- step:", f"- window: {window}\n    step:"))
    assert what in problem.what
    assert (problem.line, problem.column, problem.field) == (6, column, f"steps[0].window{field}")
    assert problem.did_you_mean == meant
    assert more in " ".join((problem.right, *problem.valid))


@pytest.mark.parametrize("percent", [0, 101])
def test_percent_out_of_range(tmp_path: Path, percent: int) -> None:
    [problem] = problems_of(tmp_path, f"{GOOD}attended_from_percent: {percent}\n")
    assert problem.what == f"{percent} is out of range"
    assert problem.right == "a whole number from 1 to 100"
    assert problem.line == 8


def test_empty_steps(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, GOOD[: GOOD.index("steps:")] + "steps: []\n")
    assert (problem.field, problem.line, problem.right) == ("steps", 5, "at least one entry")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b"# only a comment\n", "the file is empty"),
        (b"- a\n- b\n", "the file is no mapping"),
        (b"just text\n", "the file is no mapping"),
        ("id: a\ntitle: schön\n".encode("latin-1"), "the file is not UTF-8: byte 0xf6"),
        ("id: a\n".encode("utf-16"), "the file is not UTF-8: byte 0xff"),
    ],
)
def test_what_is_no_rule_file_at_all(tmp_path: Path, content: bytes, what: str) -> None:
    [problem] = problems_of(tmp_path, content)
    assert problem.what.startswith(what)


def test_a_wrong_encoding_is_placed(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, "id: a\ntitle: schön\n".encode("latin-1"))
    assert (problem.line, problem.column) == (2, 11)


def test_all_mistakes_of_a_file_are_told_in_its_order(tmp_path: Path) -> None:
    text = changed("attended", "atended").replace("klicktipp.tag", "klicktip.tag").replace("title", "titel")
    assert [problem.field for problem in problems_of(tmp_path, text)] == ["titel", "who", "steps[0].step"]


def test_a_problem_reads_like_this(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, changed("tag: Da", "tag: Da\n    craete: true"))
    assert str(problem).splitlines() == [
        f'{tmp_path / "rule.yaml"}:8:5: steps[0].craete: unknown field "craete"',
        "    8 |     craete: true",
        "      |     ^",
        "  did you mean: create",
        "  valid: step, conn_id, window, tag, create",
    ]


def test_a_problem_is_ascii_beside_the_users_own_text(tmp_path: Path) -> None:
    for text in (
        "",
        "a: [",
        changed("attended", "x"),
        changed("minutes: 10", "minutes: x"),
        "id: 1\nwhen: 2\nsteps: 3",
    ):
        assert all(str(problem).isascii() for problem in problems_of(tmp_path, text))


def test_a_wrong_file_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("id: [")
    (tmp_path / "b.yaml").write_text(GOOD)
    (tmp_path / "c.yml").write_text(changed("id: thanks", "id: other"))
    (tmp_path / "d.yaml").mkdir()
    (tmp_path / ".hidden.yaml").write_text("")
    (tmp_path / "rule.schema.json").write_text("{}")
    files, problems = load_folder(tmp_path)
    assert [file.rule.id for file in files] == ["thanks", "other"]
    assert [problem.path.name for problem in problems] == ["a.yaml", "d.yaml"]


def test_an_id_that_is_taken_names_both_files(tmp_path: Path) -> None:
    for name in ("a_copy.yaml", "thanks.yaml", "z_copy.yaml"):
        (tmp_path / name).write_text(GOOD)
    files, problems = load_folder(tmp_path)
    assert [file.path.name for file in files] == ["thanks.yaml"]
    assert [problem.path.name for problem in problems] == ["a_copy.yaml", "z_copy.yaml"]
    assert all(f'id "thanks" is taken by {tmp_path / "thanks.yaml"}' in problem.what for problem in problems)
    assert {(problem.line, problem.column) for problem in problems} == {(1, 5)}


def test_a_folder_or_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert load_folder(tmp_path) == ([], [])
    files, [problem] = load_paths([tmp_path / "nothing.yaml"])
    assert not files
    assert problem.what == "cannot be read: No such file or directory"


pieces = st.sampled_from(
    [*GOOD.splitlines(keepends=True), "  ", "- ", ": ", "{", "]", '"', "null: 1\n", "1: 2\n", "&a", "*a", "!x ", "? ",
     "steps:\n", "  - step: email\n", "  - step: [1]\n", "    fields: {1: 2}\n", "when: {1: {}}\n", "\t", "\x00", "ä"]
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=40), st.lists(pieces, max_size=12).map(lambda parts: "".join(parts).encode())))
def test_no_file_breaks_the_reading_of_a_folder(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "any.yaml").write_bytes(content)
    (tmp_path / "thanks.yaml").write_text(GOOD)
    files, problems = load_folder(tmp_path)
    assert "thanks" in {file.rule.id for file in files}
    assert {file.path.name for file in files} | {problem.path.name for problem in problems} == {
        "any.yaml",
        "thanks.yaml",
    }
    assert all(str(problem) for problem in problems)


def test_a_hundred_files_are_read_quickly(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"r{number}.yaml").write_text(changed("thanks", f"r{number}"))
    began = time.monotonic()
    files, problems = load_folder(tmp_path)
    assert time.monotonic() - began < 1.5
    assert (len(files), problems) == (100, [])
