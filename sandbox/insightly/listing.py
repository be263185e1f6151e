"""Lists, searches and their pages (contract: insightly.md 1.2)."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from sandbox.exchange import Call, json_answer
from sandbox.insightly.account import InsightlyAccount
from sandbox.insightly.answers import record_object, refusal
from sandbox.insightly.arguments import addressed, flag, updated_after, whole
from sandbox.insightly.kinds import NOTE, Kind
from sandbox.insightly.record import Record

DEFAULT_PAGE, LARGEST_PAGE = 100, 500


def listing(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``GET /{Obj}``: knows only ``brief``, ``skip``, ``top``, ``count_total``; other names are ignored."""
    return _page(account, kind, call, account.table(kind).ids())


def search(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``GET /{Obj}/Search``: by one field and its value, by ``updated_after_utc``, or by both."""
    name, value = call.query.get("field_name"), call.query.get("field_value")
    if (name is None) != (value is None):
        raise refusal(400, "field_name and field_value are needed together.")
    ids = account.table(kind).ids(updated_after(call))
    if name is not None and value is not None:
        _refuse_unknown_field(kind, name)
        found = (account.table(kind).get(number) for number in ids)
        ids = [one.id for one in found if one is not None and _says(one, name, value)]
    return _page(account, kind, call, ids)


def search_by_tag(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``GET /{Obj}/SearchByTag?tag_name=``."""
    name = call.query.get("tag_name", "").casefold()
    if not name:
        raise refusal(400, "tag_name is required.")
    tagged = (one.id for one in account.table(kind) if any(tag.casefold() == name for tag in one.tags))
    return _page(account, kind, call, list(tagged))


def notes_of(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``GET /{Obj}/{id}/Notes``: a sub-list, which does take ``updated_after_utc``."""
    after = updated_after(call)
    notes = account.notes(addressed(account, kind, call.params["id"]))
    return _page(account, NOTE, call, [note.id for note in notes if after is None or note.updated > after])


def _page(account: InsightlyAccount, kind: Kind, call: Call, ids: Sequence[int]) -> web.Response:
    """Return a bare array; more than 500 are not refused, they just do not come."""
    top = min(whole(call, "top", DEFAULT_PAGE), LARGEST_PAGE)
    skip = whole(call, "skip", 0)
    found = (account.table(kind).get(number) for number in ids[skip : skip + top])
    rows = [record_object(one, brief=flag(call, "brief")) for one in found if one is not None]
    headers = {"X-Total-Count": str(len(ids))} if flag(call, "count_total") else {}
    _shift(account, kind)
    return json_answer(rows, headers=headers)


def _shift(account: InsightlyAccount, kind: Kind) -> None:
    """Let what was ordered for after this page happen."""
    for shift in [one for one in account.shifts if one.name == kind.name]:
        shift.pages -= 1
        if shift.pages > 0:
            continue
        account.shifts.remove(shift)
        for number in shift.delete:
            if (record := account.find(kind.name, number)) is not None:
                account.delete(record)
        for number in shift.edit:
            if (record := account.find(kind.name, number)) is not None:
                account.touch(record)


def _refuse_unknown_field(kind: Kind, name: str) -> None:
    known = {kind.number, kind.state, *kind.writable, *kind.fixed}
    if not name or (name not in known and not name.endswith("__c") and not name.endswith("_c")):
        raise refusal(400, f"field_name '{name}' is not valid.")


def _says(record: Record, name: str, value: str) -> bool:
    """Compare exactly but for upper and lower case (assumed)."""
    if name == record.kind.number:
        return str(record.id) == value
    if name == record.kind.state:
        return record.state == value.upper()
    custom = {one.get("FIELD_NAME"): one.get("FIELD_VALUE") for one in record.fields.get("CUSTOMFIELDS", ())}
    found = record.fields.get(name, custom.get(name))
    return found is not None and str(found).casefold() == value.casefold()
