"""From a step or a source's name to the opened account: the one list of vendors."""

from __future__ import annotations

from collections.abc import Callable

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from handoff.delivery.by_hand import SOURCE as BY_HAND
from handoff.delivery.by_hand import ByHand
from handoff.delivery.desk import LimiterOf
from handoff.errors import WrongCredentials
from handoff.ledger.quotas import Limits
from handoff.messages import Templates
from handoff.source import Source
from handoff.target import Target
from hooks.activecampaign_target import ActiveCampaignTarget
from hooks.klicktipp_target import KlickTippTarget
from hooks.mail_target import MailTarget
from hooks.webinaris_source import WebinarisSource

OPENING = "read the connection"


async def connection_of(conn_id: str) -> Connection:
    """Return an Airflow connection.

    :raises WrongCredentials: when there is none with this id.
    """
    try:
        return await BaseHook.aget_connection(conn_id)
    except AirflowNotFoundException:
        words = "there is no such connection; create it under Admin > Connections"
        raise WrongCredentials(conn_id, OPENING, words) from None


async def open_target(step: str, conn_id: str, templates: Templates, limiter_of: LimiterOf) -> Target:
    """Open the target account of a step, with one rate limit for all its requests.

    :param step: the step's name, e.g. ``klicktipp.tag``; its first part names the vendor.
    :raises WrongCredentials: when the connection is missing or cannot be used.
    """
    connection = await connection_of(conn_id)
    return _TARGETS[step.split(".")[0]](conn_id, connection, templates, limiter_of)


async def limits_of(step: str, conn_id: str) -> Limits:
    """Return what a step's target account allows.

    :raises WrongCredentials: when the connection is missing or cannot be used.
    """
    limits = _LIMITS.get(step.split(".")[0])
    return limits(conn_id, await connection_of(conn_id)) if limits else Limits()


async def open_source(source: str, conn_id: str) -> Source:
    """Open a source account.

    :raises WrongCredentials: when the connection is missing or cannot be used.
    """
    if source == BY_HAND:
        return ByHand()
    return WebinarisSource.from_connection(conn_id, await connection_of(conn_id))


def _klicktipp(conn_id: str, connection: Connection, _templates: Templates, limiter_of: LimiterOf) -> Target:
    limits = KlickTippTarget.limits(conn_id, connection)
    return KlickTippTarget.from_connection(conn_id, connection, limiter_of(limits.rate, limits.quota))


def _activecampaign(conn_id: str, connection: Connection, _templates: Templates, limiter_of: LimiterOf) -> Target:
    limits = ActiveCampaignTarget.limits(conn_id, connection)
    return ActiveCampaignTarget.from_connection(conn_id, connection, limiter_of(limits.rate, limits.quota))


def _email(conn_id: str, connection: Connection, templates: Templates, limiter_of: LimiterOf) -> Target:
    return MailTarget.from_connection(conn_id, connection, templates, limiter_of(None))


_TARGETS: dict[str, Callable[[str, Connection, Templates, LimiterOf], Target]] = {
    "klicktipp": _klicktipp,
    "activecampaign": _activecampaign,
    "email": _email,
}
_LIMITS: dict[str, Callable[[str, Connection], Limits]] = {
    "klicktipp": KlickTippTarget.limits,
    "activecampaign": ActiveCampaignTarget.limits,
}
