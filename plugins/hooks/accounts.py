"""From a step or a source's name to the opened account: the one list of vendors."""

from __future__ import annotations

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.answer import SOURCE as ANSWERS
from handoff.delivery.answers_source import AnswersSource
from handoff.delivery.by_hand import SOURCE as BY_HAND
from handoff.delivery.by_hand import ByHand
from handoff.delivery.confirmations_source import ConfirmationsSource
from handoff.delivery.desk import LimiterOf
from handoff.errors import WrongCredentials
from handoff.ledger.quotas import Limits
from handoff.planning.confirmation import SOURCE as CONFIRMATIONS
from handoff.source import Source
from handoff.target import Target
from handoff.texts.messages import Templates
from hooks.activecampaign_target import ActiveCampaignTarget
from hooks.callexa_target import CallexaTarget
from hooks.etermin_source import SOURCE as ETERMIN
from hooks.etermin_source import ETerminSource
from hooks.insightly_source import SOURCE as INSIGHTLY
from hooks.insightly_source import InsightlySource
from hooks.insightly_target import InsightlyTarget
from hooks.klicktipp_target import KlickTippTarget
from hooks.mail_target import MailTarget
from hooks.quentn_target import QuentnTarget
from hooks.source_rules import asked_tags, rules_of
from hooks.vendor_target import VendorTarget
from hooks.webinaris_source import WebinarisSource

OPENING = "read the connection"
MISSING = "there is no such connection; create it under Admin > Connections"


async def connection_of(conn_id: str) -> Connection:
    """Return an Airflow connection.

    :raises WrongCredentials: when there is none with this id.
    """
    try:
        return await BaseHook.aget_connection(conn_id)
    except AirflowNotFoundException:
        raise WrongCredentials(conn_id, OPENING, MISSING) from None


def connection_of_sync(conn_id: str) -> Connection:
    """Do as :func:`connection_of` where there is no event loop to wait in."""
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise WrongCredentials(conn_id, OPENING, MISSING) from None


VENDORS: dict[str, type[VendorTarget]] = {
    "klicktipp": KlickTippTarget,
    "activecampaign": ActiveCampaignTarget,
    "insightly": InsightlyTarget,
    "callexa": CallexaTarget,
    "quentn": QuentnTarget,
}
"""By the first part of a step's name; the others are mails."""


async def open_target(step: str, conn_id: str, templates: Templates, limiter_of: LimiterOf) -> Target:
    """Open the target account of a step, with one rate limit for all its requests.

    :param step: the step's name, e.g. ``klicktipp.tag``; its first part names the vendor.
    :raises WrongCredentials: when the connection is missing or cannot be used.
    """
    connection = await connection_of(conn_id)
    vendor = VENDORS.get(step.split(".")[0])
    limits = (vendor or MailTarget).limits(conn_id, connection)
    limiter = limiter_of(limits.rate, limits.quota)
    if vendor is None:
        return MailTarget.from_connection(conn_id, connection, templates, limiter)
    return vendor.from_connection(conn_id, connection, limiter)


async def limits_of(step: str, conn_id: str) -> Limits:
    """Return what a step's target account allows.

    :raises WrongCredentials: when the connection is missing or cannot be used.
    """
    vendor = VENDORS.get(step.split(".")[0])
    return (vendor or MailTarget).limits(conn_id, await connection_of(conn_id))


async def open_source(source: str, conn_id: str, engine: AsyncEngine) -> Source:
    """Open a source account.

    :param engine: the ledger, which knows what was given by hand, answered, confirmed and seen before.
    :raises WrongCredentials: when the connection is missing or cannot be used.
    """
    if source == BY_HAND:
        return ByHand()
    if source == ANSWERS:
        return AnswersSource(engine)
    if source == CONFIRMATIONS:
        return ConfirmationsSource(engine)
    connection = await connection_of(conn_id)
    if source == INSIGHTLY:
        return InsightlySource.from_connection(conn_id, connection, engine, asked_tags(rules_of(source, conn_id)))
    if source == ETERMIN:
        return ETerminSource.from_connection(conn_id, connection, engine, rules_of(source, conn_id))
    return WebinarisSource.from_connection(conn_id, connection)
