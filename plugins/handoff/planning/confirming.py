"""What a person's click on *confirm* does to the ledger: the second half of a double opt-in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.consent import Subject, refusal
from handoff.ledger import consents, opt_ins, suppressions
from handoff.ledger.consents import Entry
from handoff.ledger.opt_ins import OptedIn
from handoff.ledger.storable import storable
from handoff.planning.confirmation import Confirmation
from handoff.planning.planner import Planned, record_one
from handoff.rules.rule import Rule

LIFTED_BECAUSE = "double opt-in"
LONGEST_USER_AGENT = 500


async def confirm(
    connection: AsyncConnection, asked: OptedIn, rules: Sequence[Rule], *, ip: str, user_agent: str
) -> bool:
    """Note that the person agrees, once, with the proof of it; older suppressions of the channel are lifted.

    It is an event for which rules of the source ``opt_in`` wait, unless the same words were confirmed before and that
    consent stands: two mails that ask the same hand nobody over twice.

    :param connection: in a transaction that is committed afterwards.
    :param rules: all rules as they are now.
    :param ip: from where the button was pressed, like ``user_agent``.
    :returns: ``False`` when that was done before, the link has expired, or the person was erased.
    """
    if not await opt_ins.hold_contact(connection, asked.contact_id):
        return False
    subject = Subject(asked.contact_key, asked.channel, asked.purpose)
    before = (await consents.standings(connection, [subject]))[subject]
    row = await opt_ins.confirm(
        connection, asked.effect_id, ip=storable(ip), user_agent=storable(user_agent[:LONGEST_USER_AGENT])
    )
    if row is None:
        return False
    await consents.add(connection, [_entry(row)])
    await suppressions.lift(
        connection, row["contact_key"], LIFTED_BECAUSE, channel=row["channel"], before=row["confirmed_at"]
    )
    if refusal("consent", before, confirmed=True) is not None or before.wording != row["wording_hash"]:
        await record_one(connection, _confirmation(row).occasion, rules, Planned())
    return True


def _confirmation(row: RowMapping) -> Confirmation:
    return Confirmation(row["effect_id"], row["rule_id"], row["channel"], row["purpose"], row["confirmed_at"])


def _entry(row: RowMapping) -> Entry:
    evidence = {
        "effect_key": row["effect_key"], "signed_up_at": _written(row["signed_up_at"]),
        "mail_sent_at": _written(row["mail_sent_at"]), "message_id": row["message_id"],
        "reminder_sent_at": _written(row["reminder_sent_at"]), "source": row["source"],
        "account": row["account"], "occasion": row["occasion_key"],
    }  # fmt: skip
    return Entry(
        Subject(row["contact_key"], row["channel"], row["purpose"]), "confirmed", row["confirmed_at"], row["wording"],
        f"double opt-in: {row['source']} {row['account']} {row['occasion_key']}", row["ip"], row["user_agent"],
        {name: value for name, value in evidence.items() if value},
    )  # fmt: skip


def _written(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else ""
