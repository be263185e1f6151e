"""KlickTipp for tasks that make single calls."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from handoff.errors import WrongCredentials
from hooks.account import READING, Account, ConnectionValues
from hooks.protocols.klicktipp import ContactDocument, KlickTippProtocol
from hooks.protocols.klicktipp_session import KeyPair, Login
from hooks.vendor_hook import VendorHook

DEFAULT_HOST = "https://api.klicktipp.com"
REQUESTS_PER_SECOND = 10.0
"""Our own choice: KlickTipp documents no rate limit (klicktipp.md 2.7)."""


def account_of(conn_id: str, connection: ConnectionValues) -> Account:
    """Read a connection; how it signs, :func:`protocol_of` says. :raises WrongCredentials: it cannot be used."""
    return Account.from_connection(conn_id, connection, DEFAULT_HOST, rate=REQUESTS_PER_SECOND)


def protocol_of(account: Account) -> KlickTippProtocol:
    """Return the protocol signed as the connection says: by key pair when it has one, else by login.

    :raises WrongCredentials: the connection holds neither.
    """
    developer_key, customer_key = account.text("developer_key"), account.text("customer_key")
    if account.login and developer_key and customer_key:
        return KlickTippProtocol(account.conn_id, KeyPair(account.login, developer_key, customer_key))
    if account.login and account.password and not (developer_key or customer_key):
        return KlickTippProtocol(account.conn_id, Login(account.login, account.password))
    words = "give login and password, or login with both developer_key and customer_key"
    raise WrongCredentials(account.conn_id, READING, words)


class KlickTippHook(VendorHook):
    """Contacts and tags of one KlickTipp account.

    Every method raises the :class:`~handoff.errors.TargetError` family and makes one attempt.
    Fields, tags and opt-in processes are named by label or name, or by id; a tag to be created by its name.

    :param klicktipp_conn_id: Airflow connection of type ``klicktipp``.
    """

    conn_name_attr = "klicktipp_conn_id"
    default_conn_name = "klicktipp_default"
    conn_type = "klicktipp"
    hook_name = "KlickTipp"
    read_account = staticmethod(account_of)

    def __init__(self, klicktipp_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(klicktipp_conn_id, **kwargs)
        self.klicktipp_conn_id = klicktipp_conn_id

    @cached_property
    def protocol(self) -> KlickTippProtocol:
        """The account's protocol, with its session and the ids that were read."""
        return protocol_of(self.account())

    def sign_in(self) -> str:
        """Read the tags and return the user name of the account."""
        return self.carry(self.protocol.verify())

    def tags(self) -> dict[str, str]:
        """Return the account's manual tags, id to name; SmartTags are not listed by KlickTipp."""
        return self.carry(self.protocol.read_tags())

    def find_contact(self, email: str) -> ContactDocument | None:
        """Return the contact as KlickTipp shows it, or ``None``."""
        return self.carry(self.protocol.look_up(email))

    def upsert_contact(
        self, email: str, *, opt_in: str = "", tag: str = "", fields: Mapping[str, str] | None = None
    ) -> ContactDocument:
        """Create or update a contact; without an opt-in process the account's default sends its mail."""
        protocol = self.protocol
        tag_id = self.carry(protocol.tag_id(tag)) if tag else None
        values = self.carry(protocol.field_values(fields or {}))
        return self.carry(protocol.upsert_contact(email, opt_in=opt_in, tag_id=tag_id, fields=values))

    def tag(self, email: str, tag: str, *, create: bool = False) -> None:
        """Tag a contact that exists. :raises Refused: there is no such contact or tag."""
        self.carry(self.protocol.tag(email, [self.carry(self.protocol.tag_id(tag, create))]))

    def untag(self, email: str, tag: str) -> None:
        """Remove a tag from a contact that exists. :raises Refused: there is no such contact or tag."""
        self.carry(self.protocol.untag(email, self.carry(self.protocol.tag_id(tag))))
