"""Rules that send mails, on the sandbox's mail server, opened as tasks open it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.desk import Desk, LimiterOf
from handoff.target import Target
from handoff.texts.messages import Templates
from hooks.accounts import open_target
from sandbox import SMTP_PASSWORD, SMTP_USER, Sandbox
from tests.support.delivery import judge_due, plan
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations

ACCOUNT, VARIABLE = "smtp_default", "AIRFLOW_CONN_SMTP_DEFAULT"
TEMPLATES = Templates(Path(__file__).parents[2] / "include" / "templates")
MAILS = a_rule(steps=[{"step": "email", "template": "webinar_attended"}])
START = datetime.now(UTC) - timedelta(minutes=61)


def mailbox(sandbox: Sandbox, **extra: Any) -> str:
    """Return the connection to the sandbox's mail server, as Airflow's environment has it."""
    extra = {"from_email": "Team <team@sender.test>", "disable_ssl": True, "disable_tls": True} | extra
    values = {"conn_type": "smtp", "host": "127.0.0.1", "port": sandbox.smtp_port, "extra": extra}
    return json.dumps(values | {"login": SMTP_USER, "password": SMTP_PASSWORD})


def mail_desk(engine: AsyncEngine) -> Desk:
    """Return a desk that opens accounts by their connections."""

    async def opener(account: str, step: str, limiter_of: LimiterOf) -> Target:
        return await open_target(step, account, TEMPLATES, limiter_of)

    return Desk(engine, opener)


async def judged(ledger: AsyncEngine, people: int) -> None:
    """Plan and judge a webinar that has just ended, whose people get a mail each."""
    occasion = an_occasion(start=START)
    source = FixedSource(occasion, some_registrations(people, before=START))
    await plan(ledger, source, [MAILS], occasion)
    assert await judge_due(ledger, MAILS, source) == ["judged"]
