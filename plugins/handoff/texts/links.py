"""Links in messages that lead back here: to unsubscribe, to answer a survey, and to confirm a consent.

The pages are served below ``/handoffs`` by Airflow's API server, see ``plugins/web``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from handoff.texts.tokens import sign, subject_of

VARIABLE = "HANDOFF_PUBLIC_URL"
UNSUBSCRIBE, SURVEY, OPT_IN = "unsubscribe", "survey", "opt_in"
_ADDRESS = re.compile(r"https?://[\w.\[\]:-]+(/[\w.~%/-]*)?", re.ASCII)
_UNSEEN = re.compile(r"https:|http://(localhost|127\.0\.0\.1|\[::1\])([:/]|$)")
IN_CLEAR = (
    f"{VARIABLE} is http: mail programs offer no one-click unsubscribe, and links in mails can be read on their way; "
    "make it https"
)


@dataclass(frozen=True, slots=True)
class Links:
    """Makes links that only this ledger's own receiver accepts.

    :param base_url: Airflow's address as recipients reach it, e.g. ``https://airflow.example.org``.
    :param secret: the ledger's signing key, see :func:`handoff.ledger.keys.signing_key`.
    """

    base_url: str
    secret: bytes

    def unsubscribe(self, contact_key: str, purpose: str) -> str:
        """Return the link by which a contact wants no more messages of a purpose."""
        token = sign(self.secret, UNSUBSCRIBE, f"{contact_key}:{purpose}")
        return f"{self.base_url}/handoffs/unsubscribe/{token}"

    def survey(self, effect_key: str, score: int | None = None) -> str:
        """Return the link to the survey page of one message.

        :param effect_key: the effect's stable name, :attr:`handoff.target.Call.key`.
        :param score: the answer that the page shows as chosen, 0 to 10; nothing is recorded by following the link.
        """
        page = f"{self.base_url}/handoffs/survey/{sign(self.secret, SURVEY, effect_key)}"
        return page if score is None else f"{page}?score={score}"

    def opt_in(self, effect_key: str) -> str:
        """Return the link to the page on which a consent is confirmed.

        :param effect_key: of the mail that asks for it; nothing is recorded by following the link.
        """
        return f"{self.base_url}/handoffs/opt-in/{sign(self.secret, OPT_IN, effect_key)}"


def unsubscriber(secret: bytes, token: str) -> tuple[str, str] | None:
    """Return ``(contact key, purpose)`` of an unsubscribe link's token, ``None`` when it was not made here."""
    subject = subject_of(secret, UNSUBSCRIBE, token)
    if subject is None:
        return None
    contact_key, _, purpose = subject.partition(":")
    return contact_key, purpose


def survey_effect(secret: bytes, token: str) -> str | None:
    """Return the effect key of a survey link's token, ``None`` when it was not made here."""
    return subject_of(secret, SURVEY, token)


def opt_in_effect(secret: bytes, token: str) -> str | None:
    """Return the effect key of a confirmation link's token, ``None`` when it was not made here."""
    return subject_of(secret, OPT_IN, token)


def public_url(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return Airflow's address as recipients reach it, without a slash at its end.

    ``None`` when ``HANDOFF_PUBLIC_URL`` is not set, or is no address such as ``https://airflow.example.org``.
    """
    given = environment.get(VARIABLE, "").strip().rstrip("/")
    return given if _ADDRESS.fullmatch(given) else None


def in_clear(url: str) -> bool:
    """Tell whether others could read a link on its way: it is http, and leads off this machine."""
    return not _UNSEEN.match(url)
