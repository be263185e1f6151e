"""The app that Airflow's API server mounts below ``/handoffs``."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from web import rule_steps
from web.page import message

_WORDS = {
    401: ("Please log in (bitte anmelden)", "Log in to Airflow, then open this page again."),
    403: ("Not allowed (nicht erlaubt)", "Your Airflow account may not read this DAG; ask for its read permission."),
    404: ("No such page (keine solche Seite)", "Nothing is served under this address."),
}


def create_app() -> FastAPI:
    """Return the app; every route of the console asks for Airflow's login itself (see ``login.py``)."""
    app = FastAPI(title="Airflow Handoffs", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(rule_steps.router)
    app.add_exception_handler(HTTPException, _refusal)
    return app


def _refusal(_: Request, error: Exception) -> HTMLResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    title, sentence = _WORDS.get(status, ("This did not work (das hat nicht geklappt)", "Try again later."))
    return message(title, sentence, status=status)
