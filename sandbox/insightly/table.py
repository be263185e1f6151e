"""All records of one kind, by ascending id and by the second of their last change."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator

from sandbox.insightly.kinds import Kind
from sandbox.insightly.record import Record


class Table:
    """The records of one kind, quick with hundreds of thousands of them."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._records: dict[int, Record] = {}
        # Seconds of change with ids, in order. An entry whose record has changed again since is skipped on reading.
        self._changes: list[tuple[int, int]] = []
        self._read: dict[int | None, list[int]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def get(self, number: int) -> Record | None:
        """Return the record with this id, if there is one."""
        return self._records.get(number)

    def next_id(self, first: int = 1) -> int:
        """Return an id greater than all so far, and not less than ``first``."""
        return max(next(reversed(self._records), 0) + 1, first)

    def put(self, record: Record) -> None:
        """Add a record.

        :raises ValueError: when its id is not greater than all so far; lists are in the order of ids.
        """
        if record.id < self.next_id():
            raise ValueError(f"{self.kind.name} {record.id}: ids must ascend")
        self._records[record.id] = record
        self._note(record)

    def touch(self, record: Record, at: int) -> None:
        """Note that a record was changed at a second."""
        record.updated = at
        record.revision += 1
        self._note(record)

    def delete(self, record: Record) -> None:
        """Remove a record."""
        del self._records[record.id]
        self._read.clear()

    def ids(self, updated_after: int | None = None) -> list[int]:
        """Return ids in ascending order: all, or of records changed later than the given second."""
        known = self._read.get(updated_after)
        if known is None:
            # one list is enough to turn the pages of one reader
            self._read = {updated_after: self._found(updated_after)}
            known = self._read[updated_after]
        return known

    def _found(self, after: int | None) -> list[int]:
        if after is None:
            return list(self._records)
        start = bisect_right(self._changes, after, key=lambda change: change[0])
        return sorted({number for second, number in self._changes[start:] if self._is_at(number, second)})

    def _is_at(self, number: int, second: int) -> bool:
        record = self._records.get(number)
        return record is not None and record.updated == second

    def _note(self, record: Record) -> None:
        insort(self._changes, (record.updated, record.id))
        self._read.clear()
