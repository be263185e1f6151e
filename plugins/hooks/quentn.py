"""Quentn for tasks that make single calls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from typing import Any, Literal
from urllib.parse import urlsplit

from handoff.errors import WrongCredentials
from handoff.times.timing import known_zone
from hooks.account import READING, Account, ConnectionValues, is_key
from hooks.protocols.quentn import ContactDocument, QuentnProtocol
from hooks.protocols.quentn_assumed import DATE_FORMAT, ZONE, Dates, MailStatuses
from hooks.vendor_hook import VendorHook

API_PATH = "/public/api/V1"
ENDS_WITH_PATH = re.compile(r"/public/api/v1\Z", re.IGNORECASE)
"""Documented as ``V1``, written ``v1`` by clients (quentn.md 4.1)."""
REQUESTS_PER_SECOND = 5.0
"""Our own choice: that there is a limit is known, its numbers are not (quentn.md 4.1)."""
Merge = Literal["update_add", "update", "add"]


def account_of(conn_id: str, connection: ConnectionValues) -> Account:
    """Read a connection; the host may be given with or without ``/public/api/V1``.

    :raises WrongCredentials: it has no host or no API key, or they cannot be used.
    """
    account = Account.from_connection(conn_id, connection, rate=REQUESTS_PER_SECOND)
    if not is_key(account.password):
        raise WrongCredentials(conn_id, READING, "the password must be the API key of Einstellungen > API-Info")
    return account if ENDS_WITH_PATH.search(account.base_url) else account.below(API_PATH)


def protocol_of(account: Account) -> QuentnProtocol:
    """Return the account's protocol. :raises WrongCredentials: its time zone is none."""
    zone = account.text("timezone", ZONE)
    if not known_zone(zone):
        raise WrongCredentials(account.conn_id, READING, "extra field 'timezone' is no IANA time zone")
    return QuentnProtocol(account.conn_id, account.password, Dates(zone, account.text("date_format", DATE_FORMAT)))


def statuses_of(account: Account) -> MailStatuses:
    """Return what the numbers of ``mail_status`` mean in the account.

    :raises WrongCredentials: one is missing, no whole number, or given twice.
    """
    given = {one.name: account.extra.get(f"mail_status_{one.name}") for one in fields(MailStatuses)}
    try:
        numbers = {name: int(str(value)) for name, value in given.items() if value not in {None, ""}}
    except ValueError:
        numbers = {}
    if not numbers.keys() >= {"unknown", "single", "double"} or len(set(numbers.values())) < len(numbers):
        words = "Quentn publishes no numbers of mail_status: set mail_status_unknown, mail_status_single and "
        raise WrongCredentials(account.conn_id, READING, words + "mail_status_double, each to another whole number")
    return MailStatuses(**numbers)


class QuentnHook(VendorHook):
    """Contacts, terms and campaigns of one Quentn account.

    Every method raises the :class:`~handoff.errors.TargetError` family and makes one attempt. Contacts are given by
    id, as :meth:`find_contacts` shows them, since several may share an address; terms are given by name.

    :param quentn_conn_id: Airflow connection of type ``quentn``.
    """

    conn_name_attr = "quentn_conn_id"
    default_conn_name = "quentn_default"
    conn_type = "quentn"
    hook_name = "Quentn"
    read_account = staticmethod(account_of)

    def __init__(self, quentn_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(quentn_conn_id, **kwargs)
        self.quentn_conn_id = quentn_conn_id

    @cached_property
    def protocol(self) -> QuentnProtocol:
        """The account's protocol, with the ids that were read."""
        return protocol_of(self.account())

    def sign_in(self) -> str:
        """Let Quentn check the key and return the account's host name; say so if rules need more."""
        self.carry(self.protocol.verify())
        host = urlsplit(self.base_url).netloc
        try:
            statuses_of(self.account())
        except WrongCredentials:
            return f"{host}; for rules, set the numbers of mail_status too"
        return host

    def terms(self) -> dict[int, str]:
        """Return the account's terms, id to name."""
        return self.carry(self.protocol.read_terms())

    def find_contacts(
        self, email: str, shown: Sequence[str] = ("id", "mail", "mail_status", "terms")
    ) -> list[ContactDocument]:
        """Return all contacts with an address, with these fields as Quentn shows them."""
        return self.carry(self.protocol.contacts(email, shown))

    def upsert_contact(
        self, email: str, values: Mapping[str, str] | None = None, merge: Merge = "update_add"
    ) -> ContactDocument:
        """Create the contact with an address or update it; ``mail_status`` is left to Quentn.

        :param values: by field name or label; a moment for a date field is ISO 8601 with an offset.
        """
        named = self.carry(self.protocol.field_values(values or {}))
        return self.carry(self.protocol.put_contact(email, named, merge, ("mail_status", "terms")))

    def add_term(self, contact_id: int, term: str, *, create: bool = False) -> int:
        """Give a contact a term and return the term's id. :raises Refused: there is no such contact or term."""
        term_id = self.carry(self.protocol.term_id(term, create))
        self.carry(self.protocol.add_term(contact_id, term_id))
        return term_id

    def remove_term(self, contact_id: int, term: str) -> None:
        """Take a term from a contact. :raises Refused: there is no such contact or term."""
        self.carry(self.protocol.remove_term(contact_id, self.carry(self.protocol.term_id(term))))

    def start_campaign(self, campaign: int, email: str, first_name: str = "", family_name: str = "") -> None:
        """Start a campaign for an address, whatever its ``mail_status``; it cannot be read whether it was started."""
        self.carry(self.protocol.start_campaign(campaign, email, first_name, family_name))
