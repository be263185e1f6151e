"""What hangs on a record: tags, links and notes (contract: insightly.md 1.8)."""

from __future__ import annotations

from aiohttp import web

from sandbox.exchange import Call, json_answer
from sandbox.insightly.account import InsightlyAccount
from sandbox.insightly.answers import link_object, link_objects, not_found, nothing, record_object, refusal, tag_objects
from sandbox.insightly.arguments import addressed, json_object, json_objects, link_target, tag_name, unchanged
from sandbox.insightly.kinds import NOTE, Kind
from sandbox.insightly.record import Record


def tags(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``GET /{Obj}/{id}/Tags``."""
    return json_answer(tag_objects(addressed(account, kind, call.params["id"])))


def add_tag(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``POST /{Obj}/{id}/Tags``: one more; one that is there already, in whatever case, stays as it is."""
    record = addressed(account, kind, call.params["id"])
    name = tag_name(json_object(call))
    known = _tag(record, name)
    if known is None:
        record.tags = (*record.tags, name)
    account.touch(record)
    account.record("tag", record, tag=known or name, repeated=known is not None)
    return json_answer({"TAG_NAME": known or name}, 201)


def replace_tags(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``PUT /{Obj}/{id}/Tags``: the array is the whole set from now on."""
    record = addressed(account, kind, call.params["id"])
    unchanged(call, record)
    wanted = tuple(dict.fromkeys(tag_name(one) for one in json_objects(call)))
    before, record.tags = record.tags, wanted
    account.touch(record)
    for name in before:
        if name not in wanted:
            account.record("untag", record, tag=name)
    for name in wanted:
        if name not in before:
            account.record("tag", record, tag=name, repeated=False)
    return json_answer(tag_objects(record))


def remove_tag(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``DELETE /{Obj}/{id}/Tags`` with the tag in the body; 404 when it is not there (assumed)."""
    record = addressed(account, kind, call.params["id"])
    wanted = tag_name(json_object(call))
    known = _tag(record, wanted)
    if known is None:
        raise not_found("Tag", wanted)
    record.tags = tuple(tag for tag in record.tags if tag != known)
    account.touch(record)
    account.record("untag", record, tag=known)
    return nothing()


def links(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``GET /{Obj}/{id}/Links``."""
    return json_answer(link_objects(addressed(account, kind, call.params["id"])))


def add_link(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``POST`` and ``PUT /{Obj}/{id}/Links``: with one that is there already (assumed) nothing more is made."""
    record, value = addressed(account, kind, call.params["id"]), json_object(call)
    name, number = link_target(account, value)
    repeated = number in record.linked(name)
    link = account.link(record, name, number, value.get("ROLE"), value.get("DETAILS"))
    account.touch(record)
    account.record("link_note" if kind is NOTE else "link", record, to=name, to_id=number, repeated=repeated)
    return json_answer(link_object(record, link), 201 if call.method == "POST" else 200)


def remove_link(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``DELETE /{Obj}/{id}/Links/{link_id}``."""
    record = addressed(account, kind, call.params["id"])
    link = next((one for one in record.links if str(one.id) == call.params["link_id"]), None)
    if link is None:
        raise not_found("Link", call.params["link_id"])
    account.record("unlink_note" if kind is NOTE else "unlink", record, to=link.name, to_id=link.number)
    account.unlink(record, link)
    account.touch(record)
    return nothing()


def add_note(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``POST /{Obj}/{id}/Notes``: the only way to make a note; doing it again makes another one.

    That it moves the parent's ``DATE_UPDATED_UTC`` is assumed.
    """
    parent, body = addressed(account, kind, call.params["id"]), json_object(call)
    texts = {name: body.get(name) for name in NOTE.writable}
    if not isinstance(texts["TITLE"], str) or not texts["TITLE"].strip():
        raise refusal(400, "TITLE is required.")
    note = account.put(NOTE, texts)
    account.link(note, kind.name, parent.id)
    parent.activity = note.created
    account.touch(parent)
    account.record("note", note, parent=kind.name, parent_id=parent.id, title=note.fields["TITLE"],
                   body=note.fields["BODY"])  # fmt: skip
    shown = record_object(note, brief=True)
    del shown["OWNER_USER_ID"]
    return json_answer(shown, 201, {"ETag": note.etag})


def update_note(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``PUT /Notes`` with ``NOTE_ID`` in the body."""
    body = json_object(call)
    note = addressed(account, kind, body.get(kind.number))
    unchanged(call, note)
    changed = {name: body[name] for name in kind.writable if name in body}
    if "TITLE" in changed and not changed["TITLE"]:
        raise refusal(400, "TITLE is required.")
    note.fields |= changed
    account.touch(note)
    account.record("update_note", note, title=note.fields["TITLE"], body=note.fields["BODY"])
    return json_answer(record_object(note), headers={"ETag": note.etag})


def delete_note(account: InsightlyAccount, kind: Kind, call: Call) -> web.Response:
    """``DELETE /Notes/{id}``."""
    note = addressed(account, kind, call.params["id"])
    account.record("delete_note", note)
    account.delete(note)
    return nothing()


def _tag(record: Record, name: str) -> str | None:
    return next((tag for tag in record.tags if tag.casefold() == name.casefold()), None)
