"""Occasions as the ledger knows them, and the inbox through which they arrive."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, literal, or_, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger.schema import Event, OccasionRow
from handoff.ledger.storable import storable, storable_json
from handoff.occasion import Occasion


@dataclass(frozen=True, slots=True)
class KnownOccasion:
    """An occasion together with its id and version in the ledger."""

    id: int
    version: int
    occasion: Occasion


def _anchors(occasion: Occasion) -> dict[str, str]:
    return {name: moment.isoformat() for name, moment in occasion.anchors.items()}


def _payload(occasion: Occasion) -> dict[str, Any]:
    return {
        "title": storable(occasion.title),
        "series": occasion.series,
        "anchors": _anchors(occasion),
        "timezone": occasion.timezone,
        "cancelled": occasion.cancelled,
        "changed": occasion.changed,
        "facts": storable(occasion.facts),
    }


def _content_key(occasion: Occasion, after: int) -> str:
    content = json.dumps([occasion.key, _payload(occasion), after], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


async def hear(connection: AsyncConnection, occasion: Occasion) -> bool:
    """Put a report into the inbox.

    :returns: ``False`` when it is no news: the very same report was heard before. Without a time of
        change the same words may be news again (it moved, and moved back), so there only what says
        no more than the ledger knows is no news.
    """
    known = None if occasion.changed else await latest(connection, occasion)
    if known is not None and replace(known.occasion, changed=occasion.changed) == occasion:
        return False
    if await _put_in(connection, occasion, known.version if known else 0):
        return True
    if not occasion.changed:
        return False
    other = await latest(connection, occasion)
    return (
        other is not None
        and await _contradicts(connection, occasion, other.occasion)
        and await _put_in(connection, occasion, other.version)
    )


async def _contradicts(connection: AsyncConnection, occasion: Occasion, known: Occasion) -> bool:
    """Tell whether a report that was heard before speaks against what was heard of the same moment since.

    A source that counts seconds may say two things of one; the last look then has to be followed although it
    says what was heard before. A cancellation, though, is taken back by nothing that was said before it, unless
    nobody said it: what was not to be found when somebody looked, and is reported again as it was, is back.
    """
    said, now = (occasion.anchors, occasion.cancelled), (known.anchors, known.cancelled)
    if known.changed != occasion.changed or said == now:
        return False
    if occasion.cancelled or not known.cancelled:
        return True
    gone = await connection.execute(GONE, _name(occasion) | {"changed": occasion.changed})
    return gone.scalar_one_or_none() is not None


async def _put_in(connection: AsyncConnection, occasion: Occasion, after: int) -> bool:
    """Put a report into the inbox unless the very same was heard ``after`` this version of the occasion."""
    statement = (
        insert(Event)
        .values(
            source=occasion.source,
            account=occasion.account,
            content_key=_content_key(occasion, after),
            occasion_key=occasion.key,
            payload=_payload(occasion),
        )
        .on_conflict_do_nothing()
        .returning(Event.id)
    )
    return (await connection.execute(statement)).first() is not None


async def take_over(connection: AsyncConnection, occasion: Occasion) -> KnownOccasion | None:
    """Make the ledger's occasion follow a report.

    :returns: the occasion with its new version, or ``None`` when the report is older than what is known.
    """
    values = _payload(occasion)
    statement = (
        insert(OccasionRow)
        .values(source=occasion.source, account=occasion.account, key=occasion.key, **values)
        .on_conflict_do_update(
            index_elements=[OccasionRow.source, OccasionRow.account, OccasionRow.key],
            set_=values
            | {
                # A report without a time of change does not let older reports in again.
                "changed": func.greatest(OccasionRow.changed, occasion.changed),
                "version": OccasionRow.version + 1,
                "updated_at": func.clock_timestamp(),
            },
            where=or_(OccasionRow.changed <= occasion.changed, literal(occasion.changed == 0)),
        )
        .returning(OccasionRow.id, OccasionRow.version)
    )
    row = (await connection.execute(statement)).first()
    return KnownOccasion(row.id, row.version, occasion) if row else None


async def begin(connection: AsyncConnection, events: Sequence[Occasion]) -> list[KnownOccasion]:
    """Hear of new occasions and take them over, all at once; the caller has locked them and looked that they are new.

    :param events: of one account, each of another occasion.
    :returns: those whose report was never heard before, in their order.
    """
    keys = [_content_key(one, 0) for one in events]
    rows = [{"content_key": key, **as_row(one)} for key, one in zip(keys, events, strict=True)]
    begun = await connection.execute(BEGIN, {"rows": storable_json(rows)})
    news = {row.key: row for row in begun}
    return [KnownOccasion(news[one.key].id, news[one.key].version, one) for one in events if one.key in news]


def as_row(occasion: Occasion) -> dict[str, Any]:
    """Return an occasion as plain JSON data from which :func:`occasion_from_row` makes it again."""
    return {"source": occasion.source, "account": occasion.account, "key": occasion.key, **_payload(occasion)}


def occasion_from_row(row: RowMapping | Mapping[str, Any]) -> Occasion:
    """Build the domain's occasion from a row of the table ``occasions``."""
    return Occasion(
        source=row["source"],
        account=row["account"],
        key=row["key"],
        title=row["title"],
        series=row["series"],
        timezone=row["timezone"],
        cancelled=row["cancelled"],
        changed=row["changed"],
        facts=row["facts"],
        anchors={name: datetime.fromisoformat(moment) for name, moment in row["anchors"].items()},
    )


# All rows as one parameter: the driver would parse a statement that grows with them anew each time.
BEGIN = text("""
    WITH given AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS one (
            content_key text, source text, account text, key text, title text, series text, timezone text,
            anchors jsonb, cancelled boolean, changed float, facts jsonb)
    ), heard AS (
        INSERT INTO handoff.inbox (source, account, content_key, occasion_key, payload)
        SELECT source, account, content_key, key,
            to_jsonb(given) - '{content_key,source,account,key}'::text[] FROM given
        ON CONFLICT DO NOTHING RETURNING content_key
    )
    INSERT INTO handoff.occasions (source, account, key, title, series, timezone, anchors, cancelled, changed, facts)
    SELECT source, account, key, title, series, timezone, anchors, cancelled, changed, facts
    FROM given JOIN heard USING (content_key)
    RETURNING id, version, key
""")
LATEST = text("SELECT * FROM handoff.occasions WHERE source = :source AND account = :account AND key = :key")
LOCK = text("""
    SELECT pg_advisory_xact_lock(hashtext(name))
    FROM (SELECT name FROM unnest(CAST(:names AS text[])) AS given (name) ORDER BY name) AS in_order
""")
BY_KEYS = text("""
    SELECT * FROM handoff.occasions
    WHERE source = :source AND account = :account AND key = ANY(CAST(:keys AS text[]))
""")
SINCE = text("""
    SELECT * FROM handoff.occasions
    WHERE source = :source AND account = :account AND CAST(anchors ->> :anchor AS timestamptz) >= :since
    ORDER BY id
""")
# Nobody said when it was cancelled: it was only not there.
GONE = text("""
    SELECT version FROM handoff.occasions AS occasion
    WHERE source = :source AND account = :account AND key = :key AND cancelled AND changed = :changed
      AND (SELECT (payload ->> 'changed')::float = 0 FROM handoff.inbox
        WHERE source = :source AND account = :account AND occasion_key = :key
          -- Older reports were not followed.
          AND (payload ->> 'changed')::float IN (0, :changed) ORDER BY id DESC LIMIT 1)
""")
OPEN_OCCASIONS = text("""
    SELECT *, ARRAY(SELECT rule_id FROM handoff.batches WHERE occasion_id = occasion.id) AS rules
    FROM handoff.occasions AS occasion
    WHERE source = :source AND account = :account AND NOT cancelled
      AND EXISTS (SELECT 1 FROM jsonb_each_text(anchors) AS anchor WHERE anchor.value::timestamptz > now())
""")


def _name(occasion: Occasion) -> dict[str, str]:
    return {"source": occasion.source, "account": occasion.account, "key": occasion.key}


async def lock(connection: AsyncConnection, events: Iterable[Occasion]) -> None:
    """Let nobody else plan for these occasions until the transaction ends: in one order, before its other locks."""
    names = {f"{one.source}/{one.account}/{one.key}" for one in events}
    await connection.execute(LOCK, {"names": sorted(names)})


async def latest(connection: AsyncConnection, occasion: Occasion) -> KnownOccasion | None:
    """Return what the ledger knows of an occasion now, ``None`` when it was never reported."""
    row = (await connection.execute(LATEST, _name(occasion))).mappings().first()
    return None if row is None else KnownOccasion(row["id"], row["version"], occasion_from_row(row))


async def by_keys(connection: AsyncConnection, source: str, account: str, keys: list[str]) -> dict[str, Occasion]:
    """Return what the ledger knows of an account's occasions with these keys, by their keys."""
    found = await connection.execute(BY_KEYS, {"source": source, "account": account, "keys": keys})
    return {row["key"]: occasion_from_row(row) for row in found.mappings()}


async def open_occasions(connection: AsyncConnection, source: str, account: str) -> list[tuple[Occasion, set[str]]]:
    """Return the account's occasions of which an anchor is still to come, each with the rules that have a batch."""
    rows = (await connection.execute(OPEN_OCCASIONS, {"source": source, "account": account})).mappings().all()
    return [(occasion_from_row(row), set(row["rules"])) for row in rows]


async def since(
    connection: AsyncConnection, source: str, account: str, anchor: str, moment: datetime
) -> list[Occasion]:
    """Return the account's occasions with this anchor at a moment (aware) or later, in the order they were heard of."""
    given = {"source": source, "account": account, "anchor": anchor, "since": moment}
    return [occasion_from_row(row) for row in (await connection.execute(SINCE, given)).mappings()]
