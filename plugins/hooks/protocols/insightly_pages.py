"""Reading a list page by page while it changes (insightly.md 1.2 and 1.10).

Insightly cuts its lists by position, in ascending order of id. Between two pages a row may vanish, and
whatever comes behind it moves up, over the edge of the page that was just read. So each page begins with
the last row of the one before it: if that row is not there any more, nor anything before it, the list has
moved up and is read again from further back. Rows that *enter* at a place that was already read are not
seen; they were changed after the reading began.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hooks.protocols.insightly_records import UnreadableRow, id_in
from hooks.protocols.shared import Conversation

PAGE = 500
"""The largest page; what is asked beyond is cut silently (1.2)."""
STEP_BACK = PAGE // 2
MOST_STEPS_BACK = 40
"""A list that moves faster than this cannot be read now."""


class ListMoves(Exception):  # noqa: N818 - the caller says what it means
    """Rows vanish faster than the list can be read."""


class ListRepeats(Exception):  # noqa: N818 - the caller says what it means
    """A full page holds nothing new: whoever answers does not heed ``skip``, and the list would never end."""


@dataclass(slots=True)
class Walk:
    """What was read of a list.

    :param rows: position and content of every row, in the order of reading; some come twice.
    :param ascending: whether every page was in ascending order of id, as it must be for rows not to be missed.
    """

    rows: list[tuple[int, Any]] = field(default_factory=list)
    ascending: bool = True


def walk(read_page: Callable[[int], Conversation[list[Any]]], id_field: str) -> Conversation[Walk]:
    """Read a list to its end, which is a page that is not full.

    :param read_page: reads up to :data:`PAGE` rows from a position (``skip``) on.
    :raises ListMoves: see there. :raises ListRepeats: see there. :raises TargetError: what ``read_page`` raises.
    """
    found, seen, position, last, steps_back = Walk(), set[int](), 0, 0, 0
    while True:
        page = yield from read_page(position)
        ids = _ids(page, id_field)
        if position and (ids[0] > last if ids else not page):
            steps_back += 1
            if steps_back > MOST_STEPS_BACK:
                raise ListMoves
            position = max(0, position - STEP_BACK)
            continue
        found.rows += enumerate(page, position)
        found.ascending = found.ascending and ids == sorted(ids)
        last = max([last, *ids])
        if len(page) < PAGE:
            return found
        if seen.issuperset(ids):
            raise ListRepeats
        seen.update(ids)
        position += len(page) - 1


def _ids(page: list[Any], id_field: str) -> list[int]:
    """Return the ids of the rows that have one."""
    ids = []
    for row in page:
        try:
            ids.append(id_in(row, id_field))
        except UnreadableRow:
            continue
    return ids
