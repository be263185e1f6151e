"""What the receiver must know of a system that pushes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from handoff.occasion import Occasion
from hooks.webhook_account import WebhookAccount


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a push says.

    :param kept: plain JSON data that is kept of it for some days; no more than is needed to understand it.
    :param identity: what makes it the same push when it is sent again; empty: its bytes. A signed push is known by its
        ``webhook-id`` instead.
    :param occasions: what the planner is to record, right after the commit.
    :param poke: poll the source before its time; also when this is a repetition, which may be news in the same words.
    :param contact_key: whose data is in it, so that it can be erased; ``None``: nobody's.
    """

    kept: dict[str, Any]
    identity: str = ""
    occasions: tuple[Occasion, ...] = ()
    poke: bool = False
    contact_key: str | None = None


@dataclass(frozen=True, slots=True)
class Push:
    """A push whose sender is known. :param content_type: lower case, without parameters."""

    account: WebhookAccount
    content_type: str
    body: bytes = field(repr=False)


class Adapter(Protocol):
    """Understands the pushes of one kind of system."""

    @property
    def source(self) -> str:
        """The source as the ledger names it, e.g. ``insightly``."""
        ...

    @property
    def content_types(self) -> frozenset[str]:
        """What it takes, lower case, without parameters; empty: also a push that names none."""
        ...

    @property
    def schema(self) -> Mapping[str, Any]:
        """What its pushes look like, as JSON Schema, for the description of the routes; read no stricter than that."""
        ...

    def secrets(self, content_type: str, body: bytes) -> tuple[bytes, ...]:
        """Return what a push of this kind names as its secret in its body, if anything.

        Whoever knows an account's name may have sent it: it is asked before the sender is known, and raises nothing.

        :param content_type: as it was sent.
        """
        ...

    def read(self, push: Push) -> Arrival:
        """Return what a push says; without I/O, in about a millisecond.

        :raises Refusal: ``unreadable`` or ``unexpected``, with nothing of its content.
        """
        ...
