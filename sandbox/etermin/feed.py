"""The incremental feed, and what was deleted (contract: etermin.md 2.3).

ASSUMED: that the token travels in a header ``SyncToken``, what a token looks like, that the feed shows each
appointment once as it is now, and that it tells of deletions unless it is the first call (``feed_deletions`` in the
scenario file ends that).
"""

from __future__ import annotations

from aiohttp import web

from sandbox.etermin.account import EterminAccount
from sandbox.etermin.answers import Problem, deleted_row, sync_row
from sandbox.etermin.arguments import Parameters, span
from sandbox.exchange import json_answer

HEADER = "SyncToken"
LONGEST_TOKEN = 18


def changed(account: EterminAccount, given: Parameters) -> web.Response:
    """``GET /appointmentsync?synctoken=``: what changed since a token; 1 for everything there is."""
    text = given.get("synctoken", "")
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= LONGEST_TOKEN):
        raise Problem("synctoken is missing or not valid")
    token = int(text)
    deletions = account.model.feed_deletions and token >= account.first_change
    shown = [one for one in account.appointments.values() if one.change > token and (deletions or one.deleted is None)]
    rows = [sync_row(account, one) for one in sorted(shown, key=lambda one: one.change)]
    return json_answer(rows, headers={HEADER: str(account.last_change)})


def deleted(account: EterminAccount, given: Parameters) -> web.Response:
    """``GET /appointmentdeleted?start&end``: what was deleted on these days, the end exclusive."""
    first, end = span(given, account.zone)
    shown = [one for one in account.appointments.values() if one.deleted is not None and first <= one.deleted < end]
    return json_answer([deleted_row(account, one) for one in sorted(shown, key=lambda one: one.deleted or 0)])
