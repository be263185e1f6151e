"""What the stand-ins know now, as plain JSON for assertions."""

from __future__ import annotations

from itertools import islice
from typing import Any

from sandbox.activecampaign.account import ActiveCampaignAccount
from sandbox.callexa.account import CallexaAccount, answer_object, recipient_object
from sandbox.etermin.account import EterminAccount
from sandbox.etermin.answers import calendar_row, contact_row, sync_row
from sandbox.insightly.account import InsightlyAccount
from sandbox.insightly.kinds import CONTACT, NOTE, PARENTS
from sandbox.klicktipp.account import KlickTippAccount
from sandbox.quentn.account import QuentnAccount
from sandbox.quentn.mail_status import status_name
from sandbox.webinaris.account import WebinarDate
from sandbox.world import World

MOST_RECORDS = 1000
"""So many of each kind are shown of an Insightly account."""


def state_of(world: World) -> dict[str, Any]:
    """Return contacts with tags by name, webinar dates with who is listed, CRM records, queues, appointments, mails."""
    return {
        "klicktipp": {"contacts": _klicktipp(world.klicktipp), "tags": list(world.klicktipp.tag_names)},
        "activecampaign": {
            "contacts": _activecampaign(world.activecampaign),
            "tags": list(world.activecampaign.tag_names),
        },
        "webinaris": {"dates": {date.id: _date(date, world) for date in world.webinaris.dates.values()}},
        "email": {"mails": len(world.mailbox.mails)},
        "insightly": _insightly(world.insightly),
        "callexa": _callexa(world.callexa),
        "etermin": _etermin(world.etermin),
        "quentn": _quentn(world.quentn),
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


def _insightly(account: InsightlyAccount) -> dict[str, Any]:
    account.catch_up()
    report: dict[str, Any] = {}
    for kind in PARENTS:
        table = account.table(kind)
        report[f"{kind.plural.lower()}_count"] = len(table)
        report[kind.plural.lower()] = {
            str(one.id): {
                "state": one.state,
                "email": one.fields.get("EMAIL_ADDRESS"),
                "tags": list(one.tags),
                "contacts": one.linked(CONTACT.name),
                "notes": [note.id for note in account.notes(one)],
            }
            for one in islice(table, MOST_RECORDS)
        }
    report["notes"] = {str(note.id): note.fields for note in islice(account.table(NOTE), MOST_RECORDS)}
    return report


def _callexa(account: CallexaAccount) -> dict[str, Any]:
    now = account.now()
    return {
        survey.id: {
            "recipients": [recipient_object(one, now) for one in survey.recipients.values()],
            "answers": [answer_object(one) for one in account.answers(survey)],
        }
        for survey in account.surveys.values()
    }


def _etermin(account: EterminAccount) -> dict[str, Any]:
    account.catch_up()
    return {
        "calendars": [calendar_row(one) for one in account.calendars.values()],
        "appointments": {one.uid: sync_row(account, one) for one in account.appointments.values()},
        "contacts": {str(one.cid): contact_row(account, one) for one in account.customers.values()},
    }


def _quentn(account: QuentnAccount) -> dict[str, Any]:
    return {
        "contacts": {
            str(one.id): {
                "mail": one.mail,
                "status": status_name(one.status),
                "terms": sorted(account.terms[number].name for number in one.terms),
                "fields": one.fields,
                "campaigns": sorted(one.campaigns),
                "comments": [comment["comment"] for comment in one.comments],
            }
            for one in account.contacts.values()
        },
        "terms": [one.name for one in account.terms.values()],
        "fields": list(account.fields),
    }
