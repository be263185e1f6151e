"""The ledger's tables, all of them whichever is asked for. All times are ``timestamptz``; migrations live beside it."""

from __future__ import annotations

from handoff.ledger.schema.base import SCHEMA, Base, Json
from handoff.ledger.schema.consent import Consent, Erased, Suppression
from handoff.ledger.schema.handoffs import Batch, Certificate, Effect, HandoffRow, Lane, RuleVersion, Verdict
from handoff.ledger.schema.operation import Bucket, Circuit, DayUse, Freeze, Notice, SigningKey, Start
from handoff.ledger.schema.opt_ins import OptIn, Reset
from handoff.ledger.schema.reported import ContactRow, Cursor, Event, OccasionRow, RegistrationRow
from handoff.ledger.schema.surveys import AnswerRow, Asking
from handoff.ledger.schema.webhooks import Delivery, WebhookCount

__all__ = [
    "AnswerRow",
    "Asking",
    "Base",
    "Batch",
    "Bucket",
    "Certificate",
    "Circuit",
    "Consent",
    "ContactRow",
    "Cursor",
    "DayUse",
    "Delivery",
    "Effect",
    "Erased",
    "Event",
    "Freeze",
    "HandoffRow",
    "Json",
    "Lane",
    "Notice",
    "OccasionRow",
    "OptIn",
    "RegistrationRow",
    "Reset",
    "RuleVersion",
    "SCHEMA",
    "SigningKey",
    "Start",
    "Suppression",
    "Verdict",
    "WebhookCount",
]
