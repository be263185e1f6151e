"""One person's consents, for people and programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.cli.table import moment, table
from handoff.consent import PURPOSES, Standing, Subject, refusal
from handoff.ledger import consents, suppressions
from handoff.reasons import in_words

BASES = ("consent", "existing_customer")
HASH_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Report:
    """What the ledger knows of one person: the log, the suppressions, and how each subject stands now."""

    key: str
    log: list[RowMapping]
    suppressed: list[RowMapping]
    standings: dict[Subject, Standing]

    @property
    def known(self) -> bool:
        """Whether there is anything at all."""
        return bool(self.log or self.suppressed)


async def report(connection: AsyncConnection, key: str) -> Report:
    """Read everything about the person with this whole key."""
    asked = {Subject(key, "email", purpose) for purpose in PURPOSES} | set(await consents.subjects(connection, key))
    standings = await consents.standings(connection, asked)
    by_name = dict(sorted(standings.items(), key=lambda item: (item[0].purpose, item[0].channel)))
    suppressed = await suppressions.of_contact(connection, key)
    return Report(key, await consents.log(connection, key), suppressed, by_name)


def as_document(found: Report) -> dict[str, Any]:
    """Return the report as JSON data; a refusal of ``null`` means that such messages may be sent."""
    standing = [
        {"purpose": subject.purpose, "channel": subject.channel, "said": known.said, "notice_given": known.notice_given}
        | {"refusal": {basis: refusal(basis, known) for basis in BASES}}
        for subject, known in found.standings.items()
    ]
    return {
        "contact": found.key, "known": found.known, "standing": standing,
        "suppressions": list(map(dict, found.suppressed)), "log": list(map(dict, found.log)),
    }  # fmt: skip


def as_text(found: Report) -> str:
    """Return the report for people."""
    return "\n".join(_paragraphs(found))


def _paragraphs(found: Report) -> Iterator[str]:
    yield f"Contact {found.key}"
    if not found.known:
        yield "Nothing is known: no consent, no objection, no suppression."
    rows = [
        (subject.purpose, subject.channel, *(_words(refusal(basis, known)) for basis in BASES))
        for subject, known in found.standings.items()
    ]
    yield "\n" + table(("PURPOSE", "CHANNEL", "BY CONSENT", "AS EXISTING CUSTOMER"), rows)
    if found.suppressed:
        head = ("SUPPRESSED", "CHANNEL", "REASON", "SOURCE", "LIFTED", "BECAUSE")
        yield "\n" + table(head, map(_suppression, found.suppressed))
    if found.log:
        yield "\n" + table(("AT", "WHAT", "PURPOSE", "CHANNEL", "SOURCE", "WORDING", "EFFECT"), map(_line, found.log))
    wordings = {row["wording_hash"]: row["wording"] for row in found.log if row["wording"]}
    yield from (f"\nWording {name[:HASH_DIGITS]}: {wording}" for name, wording in wordings.items())


def _words(reason: str | None) -> str:
    return f"no: {in_words(reason)}" if reason else "may be written to"


def _suppression(row: RowMapping) -> tuple[object, ...]:
    lifted = moment(row["lifted_at"])
    return moment(row["at"]), row["channel"], row["reason"], row["source"], lifted, row["lifted_because"]


def _line(row: RowMapping) -> tuple[object, ...]:
    return (
        moment(row["at"]), row["what"], row["purpose"], row["channel"], row["source"],
        row["wording_hash"][:HASH_DIGITS], row["effect_id"],
    )  # fmt: skip
