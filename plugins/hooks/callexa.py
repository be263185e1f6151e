"""Callexa as a source of answers: a hook for tasks and an async client for triggers and watches."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from handoff.delivery.purpose import POLLING, Purposes
from handoff.errors import WrongCredentials
from handoff.ledger.quotas import POLLING_SHARE
from handoff.times.timing import known_zone
from hooks.account import READING, Account, ConnectionValues
from hooks.protocols.callexa_assumed import ZONE, Answers, CallexaProtocol, Queued, Surface
from hooks.protocols.shared import Conversation
from hooks.transport import Throttle
from hooks.vendor_client import VendorClient
from hooks.vendor_hook import VendorHook

DEFAULT_HOST = "https://www.callexa.com"
REQUESTS_PER_SECOND = 5.0
"""Our own choice: nothing is known of a rate limit (callexa.md 5)."""


def account_of(conn_id: str, connection: ConnectionValues) -> Account:
    """Read a connection of type ``callexa``; the account is both read and written to.

    :raises WrongCredentials: login or API key is missing, or something cannot be used.
    """
    account = Account.from_connection(
        conn_id, connection, DEFAULT_HOST, rate=REQUESTS_PER_SECOND, polling=POLLING_SHARE
    )
    if not account.login or not account.password or ":" in account.login:
        raise WrongCredentials(conn_id, READING, "put the login e-mail into Login and the API key into Password")
    return account


def protocol_of(account: Account) -> CallexaProtocol:
    """Return the protocol with the paths and names of the connection.

    :raises WrongCredentials: one of them, or the time zone, cannot be used.
    """
    zone = account.text("timezone", ZONE)
    if not known_zone(zone):
        raise WrongCredentials(account.conn_id, READING, "extra field 'timezone' is no IANA time zone")
    given = {one.name: account.text(one.name) for one in fields(Surface)}
    try:
        surface = Surface(**{name: value for name, value in given.items() if value})
    except ValueError as error:
        raise WrongCredentials(account.conn_id, READING, str(error)) from None
    return CallexaProtocol(account.conn_id, account.login, account.password, surface, zone)


def read_answers(
    protocol: CallexaProtocol, survey: str, updated_after: datetime | None = None
) -> Conversation[Answers]:
    """Return the answers to a survey, given by name or id. :raises Refused: the account has no such survey."""
    survey_id = yield from protocol.surveys.resolve(survey)
    return (yield from protocol.answers(survey_id, updated_after))


class CallexaHook(VendorHook):
    """Surveys, recipients and answers of one Callexa account; the calls are assumed.

    Every method raises the :class:`~handoff.errors.TargetError` family and makes one attempt.

    :param callexa_conn_id: Airflow connection of type ``callexa``.
    """

    conn_name_attr = "callexa_conn_id"
    default_conn_name = "callexa_default"
    conn_type = "callexa"
    hook_name = "Callexa"
    read_account = staticmethod(account_of)

    def __init__(self, callexa_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(callexa_conn_id, **kwargs)
        self.callexa_conn_id = callexa_conn_id

    @cached_property
    def protocol(self) -> CallexaProtocol:
        """The account's protocol, with the ids of the surveys that were read."""
        return protocol_of(self.account())

    def sign_in(self) -> str:
        """Read the surveys and return the host's name; the login is an e-mail address and not shown."""
        self.carry(self.protocol.surveys.reread())
        return urlsplit(self.base_url).netloc

    def surveys(self) -> dict[str, str]:
        """Return the account's surveys, id to name."""
        return self.carry(self.protocol.read_surveys())

    def add_recipient(
        self, survey: str, email: str, name: str = "", *, delay_days: int = 0, at_most_days: int = 0
    ) -> Queued:
        """Queue a recipient for a survey, given by name or id.

        :param delay_days: how long Callexa waits at least. :param at_most_days: after how many days it does not write
            any more; 0: as the survey is set up. :raises Refused: the account has no such survey.
        """
        survey_id = self.carry(self.protocol.surveys.resolve(survey))
        return self.carry(
            self.protocol.add_recipient(survey_id, email, name, delay_days=delay_days, at_most_days=at_most_days)
        )

    def answers(self, survey: str, updated_after: datetime | None = None) -> Answers:
        """Return the answers to a survey, given by name or id; see :meth:`CallexaClient.answers`."""
        return self.carry(read_answers(self.protocol, survey, updated_after))


class CallexaClient(VendorClient[Account]):
    """Reads surveys and answers without blocking."""

    read_account = staticmethod(account_of)

    def __init__(self, account: Account, throttle: Throttle | None = None, purposes: Purposes = POLLING) -> None:
        super().__init__(account, throttle, purposes)
        self._protocol = protocol_of(account)

    async def survey_id(self, survey: str) -> str:
        """Return the id of a survey, given by name or id.

        :raises Refused: the account has no such survey. :raises TargetError: the surveys cannot be read now.
        """
        return await self.carry(self._protocol.surveys.resolve(survey))

    async def answers(self, survey: str, updated_after: datetime | None = None) -> Answers:
        """Return the answers to a survey that changed since a moment, or all of them.

        Answers from shortly before the moment come again: tell them by id, and an answer that was changed by its
        content.

        :param survey: name or id. :param updated_after: aware; the ``cursor`` of the last reading.
        :raises Refused: the account has no such survey. :raises TargetError: they cannot be read now.
        """
        return await self.carry(read_answers(self._protocol, survey, updated_after))
