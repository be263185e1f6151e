"""The state of one Insightly account, and everything that can be done to it."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from itertools import count
from typing import Any

from sandbox.addresses import normal_address
from sandbox.clock import Clock
from sandbox.effects import Effects
from sandbox.insightly.kinds import CONTACT, NOTE, OPPORTUNITY, PARENTS, PROJECT, Kind
from sandbox.insightly.record import Link, Record
from sandbox.insightly.shift import Shift
from sandbox.insightly.table import Table

FIRST_IDS = {CONTACT.name: 101, OPPORTUNITY.name: 301, PROJECT.name: 501, NOTE.name: 801}


class InsightlyAccount:
    """Records by kind. What a client of the API does is recorded as an effect by its caller.

    :param key: the API key that is good now.
    """

    def __init__(self, effects: Effects, clock: Clock, key: str) -> None:
        self._effects = effects
        self._clock = clock
        self._link_ids = count(901)
        self._order = count()
        self._planned: list[tuple[float, int, Record, str]] = []
        self.key = key
        self.tables = {kind.name: Table(kind) for kind in (*PARENTS, NOTE)}
        self.notes_of: dict[tuple[str, int], list[int]] = {}
        """Ids of notes by the name and id of the record they are linked with."""
        self.news: list[Record] = []
        """Records that came into another state and whose webhook has not been sent."""
        self.shifts: list[Shift] = []

    def now(self) -> int:
        """Return the present second."""
        return int(self._clock.now())

    def table(self, kind: Kind) -> Table:
        """Return the records of one kind."""
        return self.tables[kind.name]

    def find(self, name: str, number: int) -> Record | None:
        """Return a record by the name of its kind and its id."""
        table = self.tables.get(name)
        return table.get(number) if table else None

    def put(self, kind: Kind, fields: Mapping[str, Any], *, number: int | None = None, created: int | None = None,
            state: str = "") -> Record:  # fmt: skip
        """Create a record; in the state ``state`` or the first of its kind.

        :param number: its id, greater than all so far; counted when left out.
        :raises ValueError: when ids would not ascend.
        """
        table, moment = self.table(kind), self.now() if created is None else created
        number = table.next_id(FIRST_IDS[kind.name]) if number is None else number
        record = Record(kind, number, moment, moment, dict(fields))
        record.state = "NOT STARTED" if kind is PROJECT else (kind.states or ("",))[0]
        if state:
            record.enter(state, moment)
        table.put(record)
        return record

    def plan(self, record: Record, at: float, state: str) -> None:
        """Let a record come into a state at a moment (unix seconds) that may lie ahead."""
        heapq.heappush(self._planned, (at, next(self._order), record, state))

    def catch_up(self) -> None:
        """Let happen what was planned for moments that have passed, each at its own moment."""
        now = self._clock.now()
        while self._planned and self._planned[0][0] <= now:
            at, _, record, state = heapq.heappop(self._planned)
            if self.find(record.kind.name, record.id) is record:
                self.enter(record, state, int(at))

    def enter(self, record: Record, state: str, at: int | None = None) -> None:
        """Bring a record into a state, now or at a second; that is news for the webhook."""
        moment, before = self.now() if at is None else at, record.state
        record.enter(state, moment)
        self.touch(record, moment)
        if record.state != before:
            self.news.append(record)

    def touch(self, record: Record, at: int | None = None) -> None:
        """Note an edit, now or at a second: any edit moves ``DATE_UPDATED_UTC``."""
        self.table(record.kind).touch(record, self.now() if at is None else at)

    def link(self, record: Record, name: str, number: int, role: str | None = None,
             details: str | None = None) -> Link:  # fmt: skip
        """Link a record with another one; one that is there already stays."""
        for known in record.links:
            if (known.name, known.number) == (name, number):
                return known
        link = Link(next(self._link_ids), name, number, role, details)
        record.links = (*record.links, link)
        if record.kind is NOTE:
            self.notes_of.setdefault((name, number), []).append(record.id)
        return link

    def unlink(self, record: Record, link: Link) -> None:
        """Take a link away."""
        record.links = tuple(one for one in record.links if one is not link)
        if record.kind is NOTE:
            self.notes_of[link.name, link.number].remove(record.id)

    def delete(self, record: Record, *, keep_links: bool = False) -> None:
        """Delete a record and, unless ``keep_links``, the links that lead to it."""
        self.table(record.kind).delete(record)
        if record.kind is NOTE:
            for link in record.links:
                self.unlink(record, link)
        if keep_links:
            return
        for table in self.tables.values():
            for one in table:
                for link in one.links:
                    if (link.name, link.number) == (record.kind.name, record.id):
                        self.unlink(one, link)

    def notes(self, record: Record) -> list[Record]:
        """Return the notes of a record in ascending order of their ids."""
        numbers = sorted(self.notes_of.get((record.kind.name, record.id), ()))
        return [note for number in numbers if (note := self.table(NOTE).get(number)) is not None]

    def record(self, action: str, record: Record, **detail: Any) -> None:
        """Write an effect; its contact is the record itself or the first contact it is linked with."""
        self._effects.record(
            "insightly", action, self._address(record), object=record.kind.name, id=record.id, **detail
        )

    def _address(self, record: Record) -> str:
        numbers = [record.id] if record.kind is CONTACT else record.linked(CONTACT.name)
        contacts = (self.find(CONTACT.name, number) for number in numbers)
        return next((normal_address(one.fields.get("EMAIL_ADDRESS") or "") for one in contacts if one), "")
