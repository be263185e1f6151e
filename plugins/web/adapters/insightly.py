"""Insightly's workflow webhooks: a doorbell. What changed, and what that means, is read by the poll that follows.

So nothing is planned because of what somebody pushes, and no personal data is kept.
"""

from __future__ import annotations

from typing import Any

from hooks.insightly import InsightlyHook
from hooks.protocols.insightly_push import CONTENT_TYPES, pushed
from hooks.protocols.insightly_records import FIELDS, LARGEST_ID, UPDATED
from web.adapters.adapter import Arrival, Push
from web.receiver.body import json_of
from web.receiver.refusal import Refusal

_FIELDS: dict[str, Any] = {UPDATED: {"type": "string", "examples": ["/Date(1489116850787-0800)/"]}}
for _names in FIELDS.values():
    _FIELDS |= {_names.id: {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}, _names.state: {"type": "string"}}
_ENTITY = {"type": "object", "properties": _FIELDS, "anyOf": [{"required": [names.id]} for names in FIELDS.values()]}


class InsightlyAdapter:
    """Insightly (implements :class:`web.adapters.adapter.Adapter`)."""

    source = InsightlyHook.conn_type
    content_types = CONTENT_TYPES
    schema = {"title": "Insightly", "type": "object", "required": ["entity"], "properties": {"entity": _ENTITY}}

    def secrets(self, content_type: str, body: bytes) -> tuple[bytes, ...]:
        """Return nothing: the webhook's URL, header or Basic credentials prove its sender."""
        return ()

    def read(self, push: Push) -> Arrival:
        """Return the record that changed. :raises Refusal: it is not about an opportunity or a project."""
        try:
            change = pushed(json_of(push.body))
        except ValueError as error:
            raise Refusal("unexpected", str(error)) from None
        updated = change.updated_at.isoformat() if change.updated_at else None
        kept = {"kind": change.kind, "id": change.id, "state": change.state, "updated": updated}
        # Without a time every later change would look like a repetition, unless the bytes differ.
        identity = f"{change.kind}/{change.id}/{change.state}/{updated}" if updated else ""
        return Arrival(kept, identity, poke=True)
