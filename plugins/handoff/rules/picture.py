"""A rule as a picture: its moment, its audience, and its steps in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from handoff.rules.page import ORDERS, moment, summary, told
from handoff.rules.picture_text import clean, columns, wrap
from handoff.rules.rule import Rule
from handoff.rules.steps import Step

WIDTH = 760
EDGE = 12
GAP = 34
LINE = 20
PAD = 15
INDENT = 58
TITLE_COLUMNS = 92
TEXT_COLUMNS = 84
STEP_COLUMNS = 46
CONNECTION_COLUMNS = 34
LINES = 3

# Colours follow the page that shows the picture: its text colour, and whether it is light or dark.
STYLE = """
svg.handoff { color: CanvasText; font: 14px system-ui, sans-serif; max-width: 100%; height: auto }
.handoff .box { fill: currentColor; fill-opacity: .05; stroke: currentColor; stroke-opacity: .35 }
.handoff .arrow { stroke: currentColor; stroke-width: 1.5; fill: none; stroke-opacity: .7 }
.handoff .head { fill: currentColor; fill-opacity: .7 }
.handoff .number { fill: #0b6bcb }
.handoff text { fill: currentColor }
.handoff .digit { fill: #fff; font-weight: 600; text-anchor: middle }
.handoff .name { font-weight: 600 }
.handoff .label, .handoff .note { font-size: 12px; fill-opacity: .75 }
.handoff .account { font: 12px ui-monospace, monospace; text-anchor: end; fill-opacity: .75 }
"""


@dataclass(frozen=True, slots=True)
class _Box:
    """One box of the picture.

    :param lines: class and text of each line, from the top.
    :param number: of the step, from 1; ``None`` for what is no step.
    :param account: connection of the step's account.
    """

    lines: tuple[tuple[str, str], ...]
    number: int | None = None
    account: str = ""

    @property
    def height(self) -> int:
        return 2 * PAD + LINE * len(self.lines) - 6


def svg(rule: Rule) -> str:
    """Return the picture as one SVG element: moment, audience, then the steps from top to bottom.

    It can stand in an HTML page or alone in a file, is as high as it needs to be, and takes its
    colours from its surroundings, light or dark. ``title`` and ``desc`` say the same to those who
    do not see it. What a text has too much of is cut with an ellipsis.
    """
    boxes = [*_conditions(rule), *_steps(rule)]
    height = 2 * EDGE + sum(box.height for box in boxes) + GAP * (len(boxes) - 1)
    root = Element(
        "svg", {
            "xmlns": "http://www.w3.org/2000/svg", "class": "handoff", "role": "img",
            "aria-labelledby": "handoff-title handoff-desc", "viewBox": f"0 0 {WIDTH} {height}",
            "width": str(WIDTH), "height": str(height),
        },
    )  # fmt: skip
    SubElement(root, "title", id="handoff-title").text = clean(f"{rule.title}: steps (Schritte)")
    SubElement(root, "desc", id="handoff-desc").text = clean(_in_words(rule))
    SubElement(root, "style").text = STYLE
    top = EDGE
    for box, is_last in zip(boxes, [False] * (len(boxes) - 1) + [True], strict=True):
        _draw_box(root, box, top)
        top += box.height
        if not is_last:
            _draw_arrow(root, top)
            top += GAP
    return tostring(root, encoding="unicode")


def _conditions(rule: Rule) -> Iterator[_Box]:
    yield _Box((("label", "When (Zeitpunkt)"), *_lines("name", moment(rule), TITLE_COLUMNS)))
    order = _lines("note", f"Order (Reihenfolge): {ORDERS[rule.order]}", TITLE_COLUMNS)
    yield _Box((("label", "Who (f\u00fcr wen)"), *_lines("name", rule.audience(), TITLE_COLUMNS), *order))


def _steps(rule: Rule) -> Iterator[_Box]:
    for number, step in enumerate(rule.steps, start=1):
        words = told(rule, number - 1)
        name = wrap(step.step, STEP_COLUMNS, 1)[0]
        notes = _lines("note", words, TEXT_COLUMNS) if words else ()
        lines = (("name", name), *_lines("does", _summary(step), TEXT_COLUMNS), *notes)
        yield _Box(lines, number, wrap(step.conn_id, CONNECTION_COLUMNS, 1)[0])


def _summary(step: Step) -> str:
    return summary(step).replace("`", "")


def _lines(kind: str, text: str, width: int) -> tuple[tuple[str, str], ...]:
    return tuple((kind, line) for line in wrap(text, width, LINES))


def _in_words(rule: Rule) -> str:
    steps = (
        f"{number}. {step.step} ({step.conn_id}): {'; '.join(filter(None, [_summary(step), told(rule, number - 1)]))}"
        for number, step in enumerate(rule.steps, start=1)
    )
    return ". ".join([moment(rule), rule.audience(), ORDERS[rule.order], *steps])


def _draw_box(root: Element, box: _Box, top: int) -> None:
    group = SubElement(root, "g", {"class": "condition" if box.number is None else "step"})
    SubElement(
        group, "rect", {
            "class": "box", "x": str(EDGE), "y": str(top), "rx": "8",
            "width": str(WIDTH - 2 * EDGE), "height": str(box.height),
        },
    )  # fmt: skip
    left = EDGE + (PAD if box.number is None else INDENT)
    if box.number is not None:
        _draw_number(group, box.number, top + PAD + 9)
    baseline = top + PAD + 13
    for kind, line in box.lines:
        SubElement(group, "text", {"class": kind, "x": str(left), "y": str(baseline)}).text = line
        baseline += LINE
    if box.account:
        place = {"class": "account", "x": str(WIDTH - EDGE - PAD), "y": str(top + PAD + 13)}
        SubElement(group, "text", place).text = box.account


def _draw_number(group: Element, number: int, middle: int) -> None:
    # A pill instead of a circle, so that a number of three digits fits too.
    width = 28 + 8 * (columns(str(number)) - 1)
    centre = EDGE + INDENT // 2
    pill = {"x": str(centre - width // 2), "y": str(middle - 14), "width": str(width), "height": "28", "rx": "14"}
    SubElement(group, "rect", {"class": "number", **pill})
    SubElement(group, "text", {"class": "digit", "x": str(centre), "y": str(middle + 5)}).text = str(number)


def _draw_arrow(root: Element, top: int) -> None:
    x, tip = WIDTH // 2, top + GAP - 4
    SubElement(root, "path", {"class": "arrow", "d": f"M{x} {top + 4}V{tip - 8}"})
    SubElement(root, "path", {"class": "head", "d": f"M{x - 6} {tip - 9}H{x + 6}L{x} {tip}Z"})
