"""The app that Airflow's API server mounts below ``/handoffs``."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from handoff.errors import LedgerError
from web import opt_in, rule_steps, survey, unsubscribe, webhooks
from web.ledger import close_ledger
from web.page import message
from web.public import PUBLIC
from web.public_page import public_message
from web.receiver.receiver import Receiver

log = logging.getLogger(__name__)
_WORDS = {
    401: ("Please log in (bitte anmelden)", "Log in to Airflow, then open this page again."),
    403: ("Not allowed (nicht erlaubt)", "Your Airflow account may not read this DAG; ask for its read permission."),
    503: ("Please try again soon (bitte gleich noch einmal)", "Something that this page needs cannot be reached."),
    404: ("No such page (keine solche Seite)", "Nothing is served under this address."),
}
_TO_ANYBODY = {
    404: ("Diese Seite gibt es nicht (no such page)", "Der Link ist nicht richtig oder gilt nicht mehr.",
          "The link is not right, or is valid no more."),
    503: ("Bitte gleich noch einmal (please try again soon)", "Das ist gerade nicht erreichbar.",
          "This cannot be reached right now."),
}  # fmt: skip


def create_app(receiver: Receiver | None = None) -> FastAPI:
    """Return the app; every route asks for Airflow's login itself (``login.py``) or is in ``public.py``.

    :param receiver: takes the pushes, one of its own unless given.
    """
    app = FastAPI(title="Airflow Handoffs", docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan)
    app.state.receiver = receiver or Receiver()
    for routes in (rule_steps, unsubscribe, survey, opt_in, webhooks):
        app.include_router(routes.router)
    for error in (HTTPException, LedgerError, SQLAlchemyError, Exception):
        app.add_exception_handler(error, _refusal)
    return app


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    # Airflow's server ends without a word to the apps that it mounts; whoever runs this one alone says it.
    yield
    await close_ledger()


def _refusal(request: Request, error: Exception) -> HTMLResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if isinstance(error, (LedgerError, SQLAlchemyError)):
        log.error("the ledger cannot be used: %s", error)
        status = 503
    answer = _page(getattr(request.scope.get("route"), "path", "") in PUBLIC, status)
    # E.g. which methods an address takes.
    answer.headers.update(getattr(error, "headers", None) or {})
    return answer


def _page(public: bool, status: int) -> HTMLResponse:
    if public:
        failed = ("Das hat nicht geklappt (this did not work)", "Bitte versuchen Sie es später noch einmal.",
                  "Please try again later.")  # fmt: skip
        return public_message(*_TO_ANYBODY.get(status, failed), status)
    title, sentence = _WORDS.get(status, ("This did not work (das hat nicht geklappt)", "Try again later."))
    return message(title, sentence, status=status)
