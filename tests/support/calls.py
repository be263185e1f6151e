"""Calls to targets, made for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from handoff.contact import Contact
from handoff.occasion import Occasion
from handoff.rules.steps import Step
from handoff.target import Call

EVA = Contact("eva@example.org", first_name="Eva", last_name="Öztürk")


def a_call(step: Step, contact: Contact = EVA, **known: Any) -> Call:
    """Return one effect of a webinar for a contact; ``known`` are proofs of earlier steps."""
    start = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
    occasion = Occasion("webinaris", "webinaris_default", "d1", "Webinar", {"start": start, "end": start})
    return Call(f"key-{contact.key}", step, contact, occasion, known=known)
