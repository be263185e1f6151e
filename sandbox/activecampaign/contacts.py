"""ActiveCampaign's contacts (contract: activecampaign.md 3.2)."""

from __future__ import annotations

from aiohttp import web

from sandbox.activecampaign.account import ActiveCampaignAccount
from sandbox.activecampaign.answers import (
    contact_object,
    link_object,
    membership_object,
    page,
    unprocessable,
    value_object,
)
from sandbox.activecampaign.arguments import address, contact_by_id, envelope, field_values, names
from sandbox.activecampaign.contact_filter import matching_contacts
from sandbox.exchange import Call, json_answer


def sync(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``POST /contact/sync``: create (201) or update (200) by address."""
    inner = envelope(call, "contact")
    email, values = address(inner), field_values(account, inner)
    known = account.by_email.get(email)
    contact = known or account.put_contact(email)
    written = account.write(contact, names(inner), values, created=known is None)
    body = {"fieldValues": [value_object(one) for one in written], "contact": contact_object(contact)}
    return json_answer(body, 201 if known is None else 200)


def create(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``POST /contacts``: 422 when the address is known."""
    inner = envelope(call, "contact")
    email, values = address(inner), field_values(account, inner)
    if email in account.by_email:
        raise unprocessable("Email address already exists in the system", "duplicate", "email")
    contact = account.put_contact(email)
    written = account.write(contact, names(inner), values, created=True)
    return json_answer({"fieldValues": [value_object(one) for one in written], "contact": contact_object(contact)}, 201)


def listing(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``GET /contacts`` with the documented filters."""
    found = matching_contacts(account, call.query)
    return page(call, "contacts", [contact_object(contact) for contact in found], scoreValues=[])


def single(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``GET /contacts/{id}``, with its lists, tags and field values beside it."""
    contact = contact_by_id(account, call)
    return json_answer({
        "contactLists": [membership_object(contact, one) for one in contact.lists.values()],
        "contactTags": [link_object(one) for one in contact.tags.values()],
        "fieldValues": [value_object(one) for one in contact.values.values()],
        "contact": contact_object(contact),
    })


def update(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``PUT /contacts/{id}``."""
    contact = contact_by_id(account, call)
    inner = envelope(call, "contact")
    email = address(inner) if inner.get("email") else contact.email
    values = field_values(account, inner)
    if account.by_email.get(email, contact) is not contact:
        raise unprocessable("Email address already exists in the system", "duplicate", "email")
    if email != contact.email:
        account.readdress(contact, email)
    written = account.write(contact, names(inner), values, created=False)
    return json_answer({"fieldValues": [value_object(one) for one in written], "contact": contact_object(contact)})


def delete(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``DELETE /contacts/{id}``."""
    account.delete(contact_by_id(account, call))
    return json_answer({})


def tags_of(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``GET /contacts/{id}/contactTags``: the associations; not paged."""
    contact = contact_by_id(account, call)
    return json_answer({"contactTags": [link_object(one) for one in contact.tags.values()]})


def lists_of(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``GET /contacts/{id}/contactLists``: the places on lists, also those left; not paged."""
    contact = contact_by_id(account, call)
    return json_answer({"contactLists": [membership_object(contact, one) for one in contact.lists.values()]})


def values_of(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``GET /contacts/{id}/fieldValues``: not paged."""
    contact = contact_by_id(account, call)
    return json_answer({"fieldValues": [value_object(one) for one in contact.values.values()]})
