"""Stand-ins for Webinaris, KlickTipp, ActiveCampaign, Insightly, Callexa and a mail server, on loopback.

Built from the vendors' contracts and from nothing of the plugins, so that both are checked
against each other. See README.md here; start with ``python -m sandbox``.
"""

from __future__ import annotations

from sandbox.app import Sandbox
from sandbox.credentials import (
    ACTIVECAMPAIGN_TOKEN,
    CALLEXA_APIKEY,
    CALLEXA_LOGIN,
    INSIGHTLY_KEY,
    KLICKTIPP_APIKEY,
    KLICKTIPP_CUSTOMER_KEY,
    KLICKTIPP_DEVELOPER_KEY,
    KLICKTIPP_PASSWORD,
    KLICKTIPP_USERNAME,
    SMTP_PASSWORD,
    SMTP_USER,
    WEBINARIS_APIKEY,
    WEBINARIS_PASSWORD,
)
from sandbox.scenario import Scenario, ScenarioError, load_scenario

__all__ = [
    "ACTIVECAMPAIGN_TOKEN",
    "CALLEXA_APIKEY",
    "CALLEXA_LOGIN",
    "INSIGHTLY_KEY",
    "KLICKTIPP_APIKEY",
    "KLICKTIPP_CUSTOMER_KEY",
    "KLICKTIPP_DEVELOPER_KEY",
    "KLICKTIPP_PASSWORD",
    "KLICKTIPP_USERNAME",
    "SMTP_PASSWORD",
    "SMTP_USER",
    "WEBINARIS_APIKEY",
    "WEBINARIS_PASSWORD",
    "Sandbox",
    "Scenario",
    "ScenarioError",
    "load_scenario",
]
