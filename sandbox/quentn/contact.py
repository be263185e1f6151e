"""What a Quentn account consists of: contacts, terms, custom fields, campaigns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.quentn.mail_status import UNKNOWN
from sandbox.scenario_quentn import FieldType


@dataclass(slots=True)
class Contact:
    """One contact; several may share an address.

    :param fields: standard and custom fields that are filled, by their names in the API, ``mail`` among them.
    :param terms: ids, in the order in which they came. :param campaigns: ids of those that were started.
    """

    id: int
    fields: dict[str, Any] = field(default_factory=dict)
    status: int = UNKNOWN
    terms: list[int] = field(default_factory=list)
    campaigns: set[int] = field(default_factory=set)
    comments: list[dict[str, Any]] = field(default_factory=list)

    @property
    def mail(self) -> str:
        """Return the address in its one spelling, empty when there is none."""
        return str(self.fields.get("mail", ""))


@dataclass(slots=True)
class Term:
    """A term, which is Quentn's word for a tag."""

    id: int
    name: str
    description: str = ""


@dataclass(slots=True)
class CustomField:
    """A custom field; ``name`` begins with ``field_``."""

    id: int
    name: str
    label: str
    kind: FieldType
    max_length: int = 255


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign that can be started."""

    id: int
    name: str
