"""Confirmation mails (double opt-in): whether one may go out, and what its link confirms.

A confirmation mail is no advertising, but nobody who said no after signing up gets one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.consent import Subject, confirmed_only, refusal
from handoff.ledger import consents
from handoff.ledger.consents import wording_hash
from handoff.ledger.lanes import OpenEffect
from handoff.ledger.storable import storable
from handoff.occasion import BY_HAND
from handoff.rules.rule import Rule
from handoff.rules.steps import OptIn
from handoff.target import Call

NOTHING_TO_REMIND_OF = "nothing_to_remind_of"

# Of several entries of one person the newest is the sign-up. Whom a person named by hand did not sign up.
SIGN_UP = text("""
    SELECT contact.id AS contact_id, contact.key AS contact_key, occasion.source, occasion.account, occasion.key,
        COALESCE(entry.registered_at, batch.due_at) AS at,
        CASE WHEN occasion.source <> :by_hand THEN entry.registered_at END AS own_at
    FROM handoff.handoffs AS handoff
    JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
    JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    LEFT JOIN LATERAL (
        SELECT max(registered_at) AS registered_at FROM handoff.registrations
        WHERE occasion_id = occasion.id AND contact_id = contact.id
    ) AS entry ON true
    WHERE handoff.id = :handoff_id
""")
# An opt-in by e-mail lifts nothing of "all", so it is of no use to ask for one; see docs/decisions/0018.
NO_SINCE = text("""
    SELECT EXISTS (SELECT FROM handoff.suppressions
        WHERE contact_key = :contact_key AND lifted_at IS NULL AND (channel = 'all' OR channel = :channel
            AND (reason = 'erased' OR CAST(:own_at AS timestamptz) IS NULL OR at >= :own_at))) AS suppressed,
      EXISTS (SELECT FROM handoff.consents
        WHERE contact_key = :contact_key AND channel = :channel AND purpose = :purpose AND what = :said
          AND (CAST(:own_at AS timestamptz) IS NULL OR at >= :own_at)) AS refused
""")
NOTE = text("""
    INSERT INTO handoff.opt_ins (effect_id, effect_key, contact_id, contact_key, purpose, channel, wording,
        wording_hash, language, source, account, occasion_key, signed_up_at, mail_sent_at, expires_at)
    SELECT :effect_id, :effect_key, :contact_id, :contact_key, :purpose, :channel, :wording, :wording_hash,
        :language, :source, :account, :occasion_key, :signed_up_at, moment.now,
        moment.now + make_interval(days => :days)
    FROM (SELECT clock_timestamp() AS now) AS moment
    ON CONFLICT (effect_id) DO UPDATE SET mail_sent_at = EXCLUDED.mail_sent_at, expires_at = EXCLUDED.expires_at,
        wording = EXCLUDED.wording, wording_hash = EXCLUDED.wording_hash, language = EXCLUDED.language
    WHERE opt_ins.confirmed_at IS NULL
""")
# Only a mail that certainly went out is followed by a reminder, and by one.
REMIND = text("""
    WITH asked AS (
        SELECT opt_in.effect_id FROM handoff.opt_ins AS opt_in
        JOIN handoff.effects AS effect ON effect.id = opt_in.effect_id
        WHERE opt_in.contact_key = :contact_key AND opt_in.channel = :channel AND opt_in.purpose = :purpose
          AND opt_in.wording_hash = :wording_hash AND opt_in.confirmed_at IS NULL
          AND opt_in.expires_at > clock_timestamp() AND effect.state = 'confirmed'
          AND (opt_in.reminder_key IS NULL OR opt_in.reminder_key = :effect_key)
        ORDER BY opt_in.reminder_key IS NULL, opt_in.mail_sent_at DESC, opt_in.effect_id DESC LIMIT 1
        FOR NO KEY UPDATE OF opt_in
    )
    UPDATE handoff.opt_ins AS opt_in SET reminder_key = :effect_key, reminder_sent_at = clock_timestamp()
    FROM asked WHERE opt_in.effect_id = asked.effect_id AND opt_in.confirmed_at IS NULL
      AND (opt_in.reminder_key IS NULL OR opt_in.reminder_key = :effect_key)
""")
FIND = text("""
    SELECT opt_in.effect_id, opt_in.contact_id, opt_in.contact_key, opt_in.purpose, opt_in.channel, opt_in.wording,
        opt_in.language, opt_in.confirmed_at, opt_in.expires_at <= clock_timestamp() AS expired,
        contact.timezone AS own_zone, COALESCE(occasion.timezone, 'Europe/Berlin') AS zone
    FROM handoff.opt_ins AS opt_in JOIN handoff.contacts AS contact ON contact.id = opt_in.contact_id
    LEFT JOIN handoff.occasions AS occasion ON occasion.source = opt_in.source AND occasion.account = opt_in.account
        AND occasion.key = opt_in.occasion_key
    WHERE (opt_in.effect_key = :effect_key OR opt_in.reminder_key = :effect_key) AND NOT contact.erased
""")
LIST = text("""
    SELECT batch.rule_id AS rule, opt_in.purpose, opt_in.channel, opt_in.mail_sent_at AS asked_at, effect.state AS mail,
        opt_in.reminder_sent_at AS reminded_at, opt_in.confirmed_at, opt_in.expires_at
    FROM handoff.opt_ins AS opt_in JOIN handoff.effects AS effect ON effect.id = opt_in.effect_id
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    WHERE opt_in.contact_key = :contact_key ORDER BY opt_in.mail_sent_at DESC, opt_in.effect_id DESC
""")
# The contact first, as whoever erases does: after that there is nothing left to confirm. Of two mails that one person
# confirms at the same moment the second sees what the first said.
LOCK_CONTACT = text("SELECT FROM handoff.contacts WHERE id = :contact_id AND NOT erased FOR NO KEY UPDATE")
CONFIRM = text("""
    UPDATE handoff.opt_ins AS opt_in SET confirmed_at = clock_timestamp(), ip = :ip, user_agent = :user_agent,
        message_id = COALESCE(effect.proof ->> 'message_id', '')
    FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    WHERE opt_in.effect_id = :effect_id AND effect.id = opt_in.effect_id
      AND opt_in.confirmed_at IS NULL AND opt_in.expires_at > clock_timestamp()
    RETURNING opt_in.*, batch.rule_id
""")
# A no that was said since ends this confirmation for ever: who agrees again confirms another mail.
STANDING = text("""
    WITH confirmed AS (
        SELECT key, facts ->> 'channel' AS channel, facts ->> 'agreed_to' AS purpose,
            CAST(anchors ->> 'confirmed' AS timestamptz) AS at
        FROM handoff.occasions
        WHERE source = :source AND account = :account AND key = ANY(CAST(:keys AS text[]))
    )
    SELECT confirmed.key FROM handoff.effects AS effect
    JOIN confirmed ON confirmed.key = CAST(effect.id AS text)
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
    WHERE effect.id = ANY(CAST(:ids AS bigint[]))
      AND NOT EXISTS (SELECT FROM handoff.consents AS said
        WHERE said.contact_key = contact.key AND said.channel = confirmed.channel
          AND said.purpose = confirmed.purpose AND said.what IN ('withdrawn', 'objected')
          AND said.at >= confirmed.at)
      AND NOT EXISTS (SELECT FROM handoff.suppressions AS suppression
        WHERE suppression.contact_key = contact.key AND suppression.channel IN (confirmed.channel, 'all')
          AND (suppression.lifted_at IS NULL OR suppression.at >= confirmed.at))
""")
PERSON = text("""
    SELECT contact.*, CAST(NULL AS timestamptz) AS happened_at FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
    WHERE effect.id = :id AND contact.email <> ''
""")
FORGET = text("DELETE FROM handoff.opt_ins WHERE contact_key = :contact_key")


@dataclass(frozen=True, slots=True)
class OptedIn:
    """One confirmation mail, as its page needs it.

    :param language: ``"de"`` or ``"en"``, the one that was asked in.
    :param confirmed_at: aware; ``None`` as long as the button was not pressed.
    :param own_zone: the contact's (IANA), empty when nobody knows it. :param zone: that of what they signed up for.
    """

    effect_id: int
    contact_id: int
    contact_key: str
    purpose: str
    channel: str
    wording: str
    language: str
    confirmed_at: datetime | None
    expired: bool
    own_zone: str
    zone: str


async def opt_in_refusal(engine: AsyncEngine, rule: Rule, effect: OpenEffect, call: Call) -> str | None:
    """Return why a confirmation mail must not go out, as a reason; if it may, note that it goes out now.

    Of other steps nothing is asked and nothing noted. Asked again for the same effect it notes the later time.

    :param effect: about to go out by the ``rule`` with this ``call``.
    """
    step = call.step
    if not isinstance(step, OptIn):
        return None
    async with engine.begin() as connection:
        given = {"handoff_id": effect.handoff_id, "by_hand": BY_HAND}
        sign_up = (await connection.execute(SIGN_UP, given)).one()
        subject = Subject(sign_up.contact_key, step.channel, step.purpose)
        confirmed = confirmed_only(rule, step.purpose)
        if said_no := await _said_no(connection, subject, sign_up.own_at, confirmed):
            return said_no
        noted = {
            "effect_key": call.key, "contact_key": subject.contact_key, "purpose": subject.purpose,
            "channel": subject.channel, "wording_hash": wording_hash(storable(step.wording)),
        }  # fmt: skip
        if step.reminder:
            reminded = (await connection.execute(REMIND, noted)).rowcount
            return None if reminded else NOTHING_TO_REMIND_OF
        own = call.contact.language or call.rule.language
        rest = {
            "effect_id": effect.id, "contact_id": sign_up.contact_id, "wording": storable(step.wording),
            "language": own if step.language == "contact" else step.language, "source": sign_up.source,
            "account": sign_up.account, "occasion_key": sign_up.key, "signed_up_at": sign_up.at,
            "days": step.expires_days,
        }  # fmt: skip
        await connection.execute(NOTE, noted | rest)
        return None


async def _said_no(
    connection: AsyncConnection, subject: Subject, own_at: datetime | None, confirmed: bool
) -> str | None:
    """Return why nothing is to be asked: it was answered already, by a yes, or by a no after the sign-up.

    :param confirmed: only a double opt-in is a yes.
    """
    standing = (await consents.standings(connection, [subject]))[subject]
    if refusal("consent", standing, confirmed=confirmed) is None:
        return "already_consented"
    given = {
        "contact_key": subject.contact_key, "channel": subject.channel, "purpose": subject.purpose, "own_at": own_at,
        "said": standing.said if standing.said in {"withdrawn", "objected"} else "",
    }  # fmt: skip
    since = (await connection.execute(NO_SINCE, given)).one()
    if since.suppressed:
        return "suppressed"
    if since.refused:
        return "objected" if standing.said == "objected" else "consent_withdrawn"
    return None


async def by_effect_key(connection: AsyncConnection, effect_key: str) -> OptedIn | None:
    """Return what a mail, or its reminder, asks to confirm; ``None`` when none did or the person was erased."""
    row = (await connection.execute(FIND, {"effect_key": effect_key})).one_or_none()
    return OptedIn(*row) if row else None


async def hold_contact(connection: AsyncConnection, contact_id: int) -> bool:
    """Let nobody erase a person until the transaction ends, nor confirm for them; tell whether they are still known."""
    return (await connection.execute(LOCK_CONTACT, {"contact_id": contact_id})).first() is not None


async def confirm(connection: AsyncConnection, effect_id: int, *, ip: object, user_agent: object) -> RowMapping | None:
    """Note that the button of a mail's link was pressed; ``None`` when it was before, or too late.

    :returns: the row of ``handoff.opt_ins``, with ``rule_id``.
    """
    given = {"effect_id": effect_id, "ip": ip, "user_agent": user_agent}
    return (await connection.execute(CONFIRM, given)).mappings().one_or_none()


async def of_contact(connection: AsyncConnection, contact_key: str) -> list[RowMapping]:
    """Return what a contact was asked to confirm, newest first.

    Each with ``rule``, ``purpose``, ``channel``, ``asked_at``, ``mail`` (the effect's state), ``reminded_at``,
    ``confirmed_at`` and ``expires_at``.
    """
    return list((await connection.execute(LIST, {"contact_key": contact_key})).mappings())


async def forget(connection: AsyncConnection, contact_key: str) -> int:
    """Remove who was asked to confirm what; what was confirmed is in the consent log. Returns how many there were."""
    return (await connection.execute(FORGET, {"contact_key": contact_key})).rowcount
