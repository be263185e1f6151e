"""Something that happens between two pages of a list, so that its rows shift while it is read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Shift:
    """Once so many more pages of a kind were answered, rows are deleted or edited.

    :param name: the kind, in the singular. :param delete: ids. :param edit: ids.
    """

    name: str
    pages: int
    delete: tuple[int, ...] = ()
    edit: tuple[int, ...] = ()
