"""What the step ``callexa.recipient`` means at the vendor: how it is carried out once and read back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from handoff.contact import same_address
from handoff.errors import Refused, Transient
from handoff.rules.steps import CallexaRecipient, Step
from handoff.target import Call, Proof
from hooks.protocols.callexa_assumed import QUEUED, SKIPPED, CallexaProtocol, Recipient
from hooks.protocols.shared import Conversation

ASKED_RECENTLY = "asked_recently"


class CallexaSteps:
    """Carries out the step of one account and reads it back.

    Each effect's recipient carries its key as external id, by which it is found again.
    """

    def __init__(self, protocol: CallexaProtocol) -> None:
        self.protocol = protocol

    def prepare(self, step: Step) -> Conversation[None]:
        """Read the surveys."""
        yield from self.protocol.surveys.find(getattr(step, "survey", ""))

    def send(self, call: Call) -> Conversation[Proof]:
        """Queue the contact for the survey.

        Somebody who waits in the queue, or was asked within the step's minimum distance, is left out: that is a proof
        whose ``state`` is ``skipped``, not an error. An entry whose time cannot be read counts as recent.

        :raises Refused: the account has no such survey, or says no.
        """
        step, contact = self._step(call), call.contact
        survey_id = yield from self.protocol.surveys.resolve(step.survey)
        listed = yield from self.protocol.recipients(survey_id, contact.email)
        if ours := _ours(listed, call):
            return _proof(survey_id, ours)
        if recent := self._recent(listed, step, contact.email):
            return _proof(survey_id, recent) | {"state": SKIPPED, "reason": ASKED_RECENTLY}
        queued = yield from self.protocol.add_recipient(
            survey_id,
            contact.email,
            f"{contact.first_name} {contact.last_name}".strip(),
            external_id=_external_id(call),
            delay_days=step.delay_days,
            at_most_days=step.at_most_days,
        )
        facts = {"survey_id": survey_id, "recipient_id": queued.id, "state": queued.state}
        return facts | {key: word for key, word in (("reason", queued.reason), ("send_at", queued.send_at)) if word}

    def seen(self, call: Call) -> Conversation[Proof | None]:
        """Look for our entry in the survey's queue; ``None`` when it is not there.

        :raises Transient: an entry of the address is shown without external id, and may be ours.
        """
        step = self._step(call)
        survey_id = yield from self.protocol.surveys.find(step.survey)
        if survey_id is None:
            return None
        listed = yield from self.protocol.recipients(survey_id, call.contact.email)
        if ours := _ours(listed, call):
            return _proof(survey_id, ours)
        if any(entry.external_id is None for entry in _of(listed, call.contact.email)):
            words = f"an entry is shown without {self.protocol.surface.field_external_id!r}; see field_external_id"
            raise Transient(self.protocol.account, "read recipients", words)
        return None

    def _recent(self, listed: Iterable[Recipient], step: CallexaRecipient, email: str) -> Recipient | None:
        """Return the entry for which the contact must not be asked again yet."""
        if not step.at_least_weeks_apart:
            return None
        since = self.protocol.now() - timedelta(weeks=step.at_least_weeks_apart)
        for entry in _of(listed, email):
            waits = entry.state == QUEUED or entry.queued_at is None
            if entry.state != SKIPPED and (waits or (entry.queued_at and entry.queued_at > since)):
                return entry
        return None

    def _step(self, call: Call) -> CallexaRecipient:
        if isinstance(call.step, CallexaRecipient):
            return call.step
        raise Refused(self.protocol.account, call.step.step, "this connection is a Callexa account")


def _external_id(call: Call) -> str:
    return call.key[:32]


def _ours(listed: Iterable[Recipient], call: Call) -> Recipient | None:
    return next((entry for entry in listed if entry.external_id == _external_id(call)), None)


def _of(listed: Iterable[Recipient], email: str) -> list[Recipient]:
    """Return the entries of an address, and those that do not show theirs."""
    return [entry for entry in listed if not entry.email or same_address(entry.email, email)]


def _proof(survey_id: str, entry: Recipient) -> dict[str, object]:
    facts: dict[str, object] = {"survey_id": survey_id, "recipient_id": entry.id, "state": entry.state}
    return facts | ({"queued_at": entry.queued_at.isoformat()} if entry.queued_at else {})
