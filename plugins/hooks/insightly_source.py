"""Insightly as the delivery engine sees it: what was closed lately, and one last look at a record and its contacts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Self

from airflow.sdk import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.purpose import LOOKING
from handoff.ledger import cursors
from handoff.ledger.closings import last_of
from handoff.occasion import Occasion
from handoff.planning.closings import Account, is_unsure, name_of, occasions_of
from handoff.registration import Registration, Roster
from handoff.source import Listing, ListsTold
from handoff.spellings import folded
from hooks.insightly import InsightlyClient, InsightlyHook
from hooks.insightly_cursor import PollCursor
from hooks.protocols.answers import Denied
from hooks.protocols.insightly_errors import UnreadableFields
from hooks.protocols.insightly_records import FIELDS, CrmContact, Record, RecordKind

log = logging.getLogger(__name__)

COMPARED = timedelta(days=2)
"""So far back the sweep compares changes. Older ones would cost pages of requests every hour, and the poll's cursor
does not lose them."""
CLOCKS = timedelta(minutes=2)
"""How far Insightly's clock and this machine's may be apart."""


class InsightlySource:
    """One Insightly account (implements :class:`handoff.source.Source`).

    :param asked_tags: see :class:`handoff.planning.closings.Account`.
    """

    def __init__(self, client: InsightlyClient, engine: AsyncEngine, asked_tags: frozenset[str]) -> None:
        self._client, self._engine = client, engine
        self._account = Account(InsightlyHook.conn_type, client.account.conn_id, asked_tags)
        self._reading: dict[str, asyncio.Task[Record | None]] = {}

    @classmethod
    def from_connection(
        cls, conn_id: str, connection: Connection, engine: AsyncEngine, asked_tags: Iterable[str]
    ) -> Self:
        """Build the source of a connection. :raises WrongCredentials: it cannot be used."""
        client = InsightlyClient.from_connection(conn_id, connection, purposes=LOOKING)
        return cls(client, engine, frozenset(asked_tags))

    async def occasions(self, since: datetime) -> Listing:
        """Return what was closed, or opened again, among the records that changed in the last two days.

        What only a history can tell is left to the poll, and so is everything before the account's first one.

        :param since: aware; not looked further back than :data:`COMPARED`.
        :raises TargetError: they cannot be read now.
        """
        async with self._engine.connect() as connection:
            cursor = PollCursor.parse(await cursors.read(connection, InsightlyHook.conn_type, self._account.conn_id))
        read_at = datetime.now(UTC)
        after = max(since, read_at - COMPARED)
        watches = {kind: watch for kind in FIELDS if (watch := cursor.watch(kind))}
        changes = [await self._client.changed(kind, after) for kind in watches]
        problems = [problem for one in changes for problem in one.problems]
        for problem in problems:
            log.warning("%s: %s", self._account.conn_id, problem)
        changed = [record for one in changes for record in one.records]
        records = [record for record in changed if name_of(record) not in cursor.doubtful]
        async with self._engine.connect() as connection:
            known = await last_of(connection, InsightlyHook.conn_type, self._account.conn_id, map(name_of, records))
        found = list[Occasion]()
        for record in records:
            before, watch = known.get(name_of(record)), watches[record.kind]
            if not is_unsure(record, before, watch):
                found += occasions_of(record, before, self._account, watch=watch)
        attached = {name_of(record): tuple(map(str, record.contact_ids)) for record in changed}
        lists = ListsTold(read_at, after + CLOCKS, attached) if watches and not problems else None
        return Listing(tuple(found), only_changes=True, lists=lists)

    async def occasion(self, known: Occasion) -> Occasion | None:
        """Return the closing as it is now: taken back when the record was opened again, ``None`` when it is gone.

        :raises TargetError: it cannot be read now.
        """
        record = await self._record(known)
        if record is None:
            return None
        # Any tag may count for the version that a batch is pinned to; none is kept from this look.
        account = replace(self._account, asked_tags=frozenset(map(folded, record.tags)))
        return next((one for one in occasions_of(record, known, account) if one.key == known.key), known)

    async def roster(self, known: Occasion, since: datetime | None) -> Roster:
        """Return the attached contacts; nobody when the record did not change since.

        :raises TargetError: they cannot be read now.
        """
        record = await self._record(known)
        read_at = datetime.now(UTC)
        if record is None or (since is not None and record.updated_at < since - CLOCKS):
            return Roster(read_at, read_at, ())
        contacts = await asyncio.gather(*map(self._contact, record.contact_ids))
        entries = tuple(
            Registration(str(one.id), one.email, known.anchors["closed"], one.first_name, one.last_name)
            for one in contacts
            if one is not None
        )
        gone = [str(number) for number, one in zip(record.contact_ids, contacts, strict=True) if one is None]
        return Roster(datetime.now(UTC), read_at, entries, tuple(gone), entire=True)

    async def _contact(self, number: int) -> CrmContact | None:
        """Return a contact, ``None`` for one that is gone, or that the user of the key may not see."""
        try:
            return await self._client.contact(number)
        except (Denied, UnreadableFields) as error:
            log.warning("contact %s: %s", number, error)
            return None

    async def close(self) -> None:
        """End the reading under way and close the connections; safe to call twice."""
        tasks = list(self._reading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    async def _record(self, known: Occasion) -> Record | None:
        """Read a record; who asks for the same one while it is being read gets the same answer."""
        if (name := known.series) not in self._reading:
            kind, _, number = name.partition("/")
            reading = asyncio.ensure_future(self._client.record(_kind(kind), int(number)))
            reading.add_done_callback(lambda _: self._reading.pop(name, None))
            self._reading[name] = reading
        return await asyncio.shield(self._reading[name])


def _kind(name: str) -> RecordKind:
    return "project" if name == "project" else "opportunity"
