"""What the stand-ins know now, as plain JSON for assertions."""

from __future__ import annotations

from typing import Any

from sandbox.activecampaign.account import ActiveCampaignAccount
from sandbox.klicktipp.account import KlickTippAccount
from sandbox.webinaris.account import WebinarDate
from sandbox.world import World


def state_of(world: World) -> dict[str, Any]:
    """Return contacts by address with their tags by name, webinar dates with who is listed, and mails."""
    return {
        "klicktipp": {"contacts": _klicktipp(world.klicktipp), "tags": list(world.klicktipp.tag_names)},
        "activecampaign": {
            "contacts": _activecampaign(world.activecampaign),
            "tags": list(world.activecampaign.tag_names),
        },
        "webinaris": {"dates": {date.id: _date(date, world) for date in world.webinaris.dates.values()}},
        "email": {"mails": len(world.mailbox.mails)},
    }


def _klicktipp(account: KlickTippAccount) -> dict[str, Any]:
    return {
        contact.email or contact.phone: {
            "id": contact.id,
            "status": contact.status,
            "tags": sorted(account.tags[tag_id].name for tag_id in contact.tags),
            "fields": contact.fields,
        }
        for contact in account.contacts.values()
    }


def _activecampaign(account: ActiveCampaignAccount) -> dict[str, Any]:
    return {
        contact.email: {
            "id": contact.id,
            "firstname": contact.first_name,
            "lastname": contact.last_name,
            "tags": sorted(account.tags[tag_id].name for tag_id in contact.tags),
            "lists": {account.lists[place.list_id]: place.status for place in contact.lists.values()},
            "fields": {account.fields[value.field_id].title: value.value for value in contact.values.values()},
        }
        for contact in account.contacts.values()
    }


def _date(date: WebinarDate, world: World) -> dict[str, Any]:
    shown = date.as_json(world.clock.now())
    people = [{"id": one.id, "email": one.email, "active": one.active} for one in date.participants]
    return {**shown, "participants": people}
