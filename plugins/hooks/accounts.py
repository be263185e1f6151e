"""From a step or a source's name to the opened account: the vendors that are written to, the sources that are read."""

from __future__ import annotations

from collections.abc import Callable

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
from hooks import callexa, insightly, klicktipp, quentn
from hooks.activecampaign_target import ActiveCampaignTarget
from hooks.callexa_steps import CallexaSteps
from hooks.etermin import ETerminHook
from hooks.etermin_source import ETerminSource
from hooks.insightly import InsightlyHook
from hooks.insightly_source import InsightlySource
from hooks.mail_target import MailTarget
from hooks.protocols.insightly_steps import InsightlySteps
from hooks.protocols.klicktipp_steps import KlickTippSteps
from hooks.protocols.quentn_steps import QuentnSteps
from hooks.source_rules import asked_tags, rules_of
from hooks.vendor_target import Vendor
from hooks.webinaris import WebinarisHook
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


VENDORS: dict[str, Vendor | type[ActiveCampaignTarget]] = {
    "klicktipp": Vendor(klicktipp.account_of, lambda account: KlickTippSteps(klicktipp.protocol_of(account))),
    "activecampaign": ActiveCampaignTarget,
    "insightly": Vendor(
        insightly.account_of, lambda account: InsightlySteps(insightly.InsightlyAccount(account).calls)
    ),
    "callexa": Vendor(callexa.account_of, lambda account: CallexaSteps(callexa.protocol_of(account))),
    "quentn": Vendor(
        quentn.account_of, lambda account: QuentnSteps(quentn.protocol_of(account), quentn.statuses_of(account))
    ),
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


OWN_SOURCES: dict[str, Callable[[AsyncEngine], Source]] = {
    BY_HAND: lambda engine: ByHand(),
    ANSWERS: AnswersSource,
    CONFIRMATIONS: ConfirmationsSource,
}
"""What the ledger itself knows, and what is given by hand: without a connection."""
SOURCES: dict[str, Callable[[str, Connection, AsyncEngine], Source]] = {
    WebinarisHook.conn_type: lambda conn_id, connection, engine: WebinarisSource.from_connection(conn_id, connection),
    InsightlyHook.conn_type: lambda conn_id, connection, engine: InsightlySource.from_connection(
        conn_id, connection, engine, asked_tags(rules_of(InsightlyHook.conn_type, conn_id))
    ),
    ETerminHook.conn_type: lambda conn_id, connection, engine: ETerminSource.from_connection(
        conn_id, connection, engine, rules_of(ETerminHook.conn_type, conn_id)
    ),
}
"""By the name that rules give them, which is their connections' type."""


async def open_source(source: str, conn_id: str, engine: AsyncEngine) -> Source:
    """Open a source account.

    :param engine: the ledger, which knows what was given by hand, answered, confirmed and seen before.
    :raises WrongCredentials: when there is no such source, or the connection is missing or cannot be used.
    """
    if own := OWN_SOURCES.get(source):
        return own(engine)
    if opened := SOURCES.get(source):
        return opened(conn_id, await connection_of(conn_id), engine)
    raise WrongCredentials(conn_id, OPENING, f"there is no source {source!r}; name another one in the rule")
