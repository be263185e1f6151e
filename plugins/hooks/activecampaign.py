"""ActiveCampaign for tasks that make single calls."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from handoff.errors import Refused, WrongCredentials
from hooks.account import READING, Account, ConnectionValues, is_key
from hooks.protocols.activecampaign import ActiveCampaignProtocol, Document
from hooks.vendor_hook import VendorHook

API_PATH = "/api/3"
REQUESTS_PER_SECOND = 5.0
"""Per account over all its keys (activecampaign.md 3.1)."""
BULK_THRESHOLD = 50


def account_of(conn_id: str, connection: ConnectionValues) -> Account:
    """Read a connection; the host is copied from Settings > Developer, with or without ``/api/3``.

    :raises WrongCredentials: it has no host or no Api-Token, or they cannot be used.
    """
    account = Account.from_connection(conn_id, connection, rate=REQUESTS_PER_SECOND)
    if not is_key(account.password):
        raise WrongCredentials(conn_id, READING, "the password must be the Api-Token of Settings > Developer")
    return account.below(API_PATH)


class ActiveCampaignHook(VendorHook):
    """Contacts, tags and lists of one ActiveCampaign account.

    Every method raises the :class:`~handoff.errors.TargetError` family and makes one attempt.

    :param activecampaign_conn_id: Airflow connection of type ``activecampaign``.
    """

    conn_name_attr = "activecampaign_conn_id"
    default_conn_name = "activecampaign_default"
    conn_type = "activecampaign"
    hook_name = "ActiveCampaign"
    read_account = staticmethod(account_of)

    def __init__(self, activecampaign_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(activecampaign_conn_id, **kwargs)
        self.activecampaign_conn_id = activecampaign_conn_id

    @cached_property
    def protocol(self) -> ActiveCampaignProtocol:
        """The account's protocol, with the ids that were read."""
        return ActiveCampaignProtocol(self.activecampaign_conn_id, self.account().password)

    def sign_in(self) -> str:
        """Read the fields and return the account's host name, which begins with its name."""
        self.carry(self.protocol.verify())
        return urlsplit(self.base_url).netloc

    def tags(self) -> dict[str, str]:
        """Return the account's contact tags, id to name."""
        return self.carry(self.protocol.read_tags())

    def find_contact(self, email: str) -> Document | None:
        """Return the contact as ActiveCampaign shows it, or ``None``."""
        return self.carry(self.protocol.find_contact(email))

    def upsert_contact(
        self, email: str, attributes: Mapping[str, str] | None = None, fields: Mapping[str, str] | None = None
    ) -> str:
        """Create or update a contact and return its id.

        :param attributes: any of ``firstName``, ``lastName``, ``phone``.
        :param fields: values of custom fields by title, personalisation tag or id.
        """
        values = self.carry(self.protocol.field_values(fields or {}))
        return self.carry(self.protocol.sync_contact(email, attributes, values))

    def tag(self, email: str, tag: str, *, create: bool = False) -> str:
        """Tag a contact that exists and return the association's id.

        :raises Refused: there is no such contact or tag.
        """
        tag_id = self.carry(self.protocol.tag_id(tag, create))
        return self.carry(self.protocol.add_tag(self._id_of(email, "tag contact"), tag_id))

    def untag(self, email: str, tag: str) -> None:
        """Remove a tag from a contact that exists. :raises Refused: there is no such contact or tag."""
        tag_id = self.carry(self.protocol.tag_id(tag))
        association = self.carry(self.protocol.tag_association(self._id_of(email, "untag contact"), tag_id))
        if association:
            self.carry(self.protocol.remove_tag(association))

    def _id_of(self, email: str, operation: str) -> str:
        stored = self.find_contact(email)
        if stored is None:
            raise Refused(self.activecampaign_conn_id, operation, "this account has no contact with that address")
        return str(stored["id"])
