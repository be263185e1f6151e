"""Insightly as a source: a hook for tasks and an async client for triggers and delivery."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any, Self
from urllib.parse import urlsplit

from handoff.errors import WrongCredentials
from hooks.account import READING, Account, ConnectionValues, is_key
from hooks.protocols.insightly import InsightlyProtocol
from hooks.protocols.insightly_notes import InsightlyNotes, Note
from hooks.protocols.insightly_records import (
    Changes,
    CrmContact,
    Link,
    ObjectKind,
    Record,
    RecordKind,
    StateChange,
)
from hooks.vendor_client import VendorClient
from hooks.vendor_hook import VendorHook

API_PATH = "/v3.1"
POD = re.compile(r"[a-z]{2,3}[0-9]{1,2}")
REQUESTS_PER_SECOND = 10.0
"""All plans (insightly.md 1.3)."""
POLLING_SHARE = 0.5
"""Of a day's requests: what is read here leads to far more requests than the notes that come back."""


class InsightlyAccount:
    """What a connection of type ``insightly`` says.

    Password is the API key, the only secret. Host is empty: then the extra ``pod`` (e.g. ``eu1``) leads to
    ``https://api.{pod}.insightly.com/v3.1``; a host that is given wins, with or without ``/v3.1``. Further
    extras: ``requests_per_second`` (default 10), ``requests_per_day`` (default: no limit), ``timeout`` in
    seconds (default 10), ``settling_seconds`` (default 2).

    :raises WrongCredentials: when the connection cannot be used.
    """

    def __init__(self, account: Account) -> None:
        self.conn_id, self.base_url = account.conn_id, account.base_url
        self.timeout, self.limits = account.timeout, account.limits
        self.settling_seconds = account.settling_seconds
        self.calls = InsightlyProtocol(account.conn_id, account.password)
        self.notes = InsightlyNotes(self.calls)

    @classmethod
    def from_connection(cls, conn_id: str, connection: ConnectionValues) -> Self:
        """Read an Airflow connection. :raises WrongCredentials: it cannot be used."""
        return cls(account_of(conn_id, connection))


def account_of(conn_id: str, connection: ConnectionValues) -> Account:
    """Read a connection, with the base URL that its host or its pod leads to.

    :raises WrongCredentials: it names neither, or has no API key, or they cannot be used.
    """
    account = Account.from_connection(
        conn_id, connection, "https://api.insightly.com", rate=REQUESTS_PER_SECOND, polling=POLLING_SHARE
    )
    if not is_key(account.password):
        words = "put the API key into Password (Insightly: User Settings > API)"
        raise WrongCredentials(conn_id, READING, words)
    if (connection.host or "").strip():
        return account.below(API_PATH)
    pod = account.text("pod").lower()
    if not POD.fullmatch(pod):
        words = "give the pod, e.g. eu1: it stands in the API URL below the key (Insightly: User Settings > API)"
        raise WrongCredentials(conn_id, READING, words)
    return replace(account, base_url=f"https://api.{pod}.insightly.com{API_PATH}")


class InsightlyHook(VendorHook):
    """One Insightly account, one call at a time.

    Every method raises the :class:`~handoff.errors.TargetError` family and makes one attempt.

    :param insightly_conn_id: Airflow connection of type ``insightly`` (see :class:`InsightlyAccount`).
    """

    conn_name_attr = "insightly_conn_id"
    default_conn_name = "insightly_default"
    conn_type = "insightly"
    hook_name = "Insightly"
    read_account = staticmethod(account_of)

    def __init__(self, insightly_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(insightly_conn_id, **kwargs)
        self.insightly_conn_id = insightly_conn_id

    @cached_property
    def insightly(self) -> InsightlyAccount:
        """The account with its calls."""
        return InsightlyAccount(self.account())

    def sign_in(self) -> str:
        """Read the instance and return its name with the host, which shows the pod."""
        name = self.carry(self.insightly.calls.verify())
        return f"{name} at {urlsplit(self.insightly.base_url).netloc}"

    def changed(self, kind: RecordKind, since: datetime | None = None) -> Changes:
        """Return what changed since a moment (see :meth:`InsightlyProtocol.changed`)."""
        return self.carry(self.insightly.calls.changed(kind, since))

    def record(self, kind: RecordKind, record_id: int) -> Record | None:
        """Return an opportunity or project as it is now, or ``None``."""
        return self.carry(self.insightly.calls.record(kind, record_id))

    def tagged(self, kind: RecordKind, tag: str) -> Changes:
        """Return the records that carry a tag."""
        return self.carry(self.insightly.calls.tagged(kind, tag))

    def state_history(self, opportunity_id: int) -> tuple[StateChange, ...]:
        """Return when an opportunity came into which state, oldest first."""
        return self.carry(self.insightly.calls.state_history(opportunity_id))

    def contact(self, contact_id: int) -> CrmContact | None:
        """Return id, address and name of a contact, or ``None``."""
        return self.carry(self.insightly.calls.contact(contact_id))

    def contacts_by_email(self, email: str) -> tuple[CrmContact, ...]:
        """Return the contacts with an address by ascending id."""
        return self.carry(self.insightly.calls.contacts_by_email(email))

    def tags(self, kind: ObjectKind, object_id: int) -> tuple[str, ...]:
        """Return a thing's tags."""
        return self.carry(self.insightly.calls.tags(kind, object_id))

    def add_tag(self, kind: ObjectKind, object_id: int, tag: str) -> None:
        """Add a tag to a thing."""
        self.carry(self.insightly.calls.add_tag(kind, object_id, tag))

    def remove_tag(self, kind: ObjectKind, object_id: int, tag: str) -> None:
        """Remove a tag from a thing."""
        self.carry(self.insightly.calls.remove_tag(kind, object_id, tag))

    def links(self, kind: ObjectKind, object_id: int) -> tuple[Link, ...]:
        """Return what a thing is linked to."""
        return self.carry(self.insightly.calls.links(kind, object_id))

    def notes_of(self, contact_id: int) -> tuple[Note, ...]:
        """Return a contact's notes by ascending id."""
        return self.carry(self.insightly.notes.of_contact(contact_id))

    def add_note(self, contact_id: int, title: str, body: str) -> Note:
        """Add a note to a contact; the same call again adds another one."""
        return self.carry(self.insightly.notes.add(contact_id, title, body))


class InsightlyClient(VendorClient[InsightlyAccount]):
    """The reading calls without blocking."""

    read_account = staticmethod(InsightlyAccount.from_connection)

    async def changed(self, kind: RecordKind, since: datetime | None = None) -> Changes:
        """Return what changed since a moment (see :meth:`InsightlyProtocol.changed`)."""
        return await self.carry(self.account.calls.changed(kind, since))

    async def record(self, kind: RecordKind, record_id: int) -> Record | None:
        """Return an opportunity or project as it is now, or ``None``."""
        return await self.carry(self.account.calls.record(kind, record_id))

    async def state_history(self, opportunity_id: int) -> tuple[StateChange, ...]:
        """Return when an opportunity came into which state, oldest first."""
        return await self.carry(self.account.calls.state_history(opportunity_id))

    async def contact(self, contact_id: int) -> CrmContact | None:
        """Return id, address and name of a contact, or ``None``."""
        return await self.carry(self.account.calls.contact(contact_id))
