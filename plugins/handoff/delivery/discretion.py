"""Keeping a contact out of what is told of a failed call, whatever the vendor knows and repeats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from handoff.contact import Contact
from handoff.errors import TargetError


@contextmanager
def discreet(contact: Contact) -> Iterator[None]:
    """Take the contact's address, names and number out of the words of a :class:`TargetError` that passes by."""
    try:
        yield
    except TargetError as error:
        error.words = contact.left_out_of(error.words)
        error.args = tuple(contact.left_out_of(str(words)) for words in error.args)
        raise
