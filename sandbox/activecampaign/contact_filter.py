"""Which contacts ``GET /contacts`` returns (contract: activecampaign.md 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from multidict import MultiMapping

from sandbox.activecampaign.account import ANY_STATUS, ActiveCampaignAccount, Contact
from sandbox.activecampaign.arguments import number
from sandbox.addresses import normal_address

Query = MultiMapping[str]
_ORDERS: dict[str, Callable[[Contact], object]] = {
    "orders[id]": lambda contact: contact.id,
    "orders[email]": lambda contact: contact.email,
    "orders[cdate]": lambda contact: contact.created,
}


def matching_contacts(account: ActiveCampaignAccount, query: Query) -> list[Contact]:
    """Return the contacts that all filters let through; ids ascend unless an order is given.

    Unknown filters are ignored, as the vendor does.
    """
    found = [contact for contact in _candidates(account, query) if _matches(contact, query)]
    for name, key in _ORDERS.items():
        if name in query:
            found.sort(key=key, reverse=query[name].upper() == "DESC")  # type: ignore[arg-type]
    return found


def _candidates(account: ActiveCampaignAccount, query: Query) -> Iterable[Contact]:
    """Return the contacts of the narrowest filter that has an index."""
    if "email" in query:
        contact = account.by_email.get(normal_address(query["email"]))
        return [contact] if contact else []
    if "ids[]" in query:
        wanted = sorted({number(text) for text in query.getall("ids[]")})
        return [account.contacts[one] for one in wanted if one in account.contacts]
    if "tagid" in query:
        tag = account.tags.get(number(query["tagid"]))
        return [account.contacts[one] for one in sorted(tag.links)] if tag else []
    return account.contacts.values()


def _matches(contact: Contact, query: Query) -> bool:
    after, before = query.get("id_greater"), query.get("id_less")
    return (
        (after is None or contact.id > number(after))
        and (before is None or contact.id < number(before))
        and ("tagid" not in query or number(query["tagid"]) in contact.tags)
        and query.get("email_like", "").lower() in contact.email
        and query.get("search", "").lower() in _searched_text(contact)
        and _on_list(contact, query)
        and _in_time(contact.created, query, "created")
        and _in_time(contact.changed, query, "updated")
    )


def _searched_text(contact: Contact) -> str:
    return f"{contact.email} {contact.first_name} {contact.last_name} {contact.phone}".lower()


def _on_list(contact: Contact, query: Query) -> bool:
    """Apply ``listid`` and ``status``: without a list, any list with that status will do."""
    if "listid" in query:
        place = contact.lists.get(number(query["listid"]))
        places = [place] if place else []
    else:
        places = list(contact.lists.values())
    status = query.get("status", str(ANY_STATUS))
    if status == str(ANY_STATUS):
        return bool(places) or "listid" not in query
    return any(str(place.status) == status for place in places)


def _in_time(moment: float, query: Query, name: str) -> bool:
    after, before = query.get(f"filters[{name}_after]"), query.get(f"filters[{name}_before]")
    return (not after or moment > _moment(after)) and (not before or moment < _moment(before))


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
