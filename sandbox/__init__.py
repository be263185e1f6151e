"""Stand-ins for Webinaris, KlickTipp, ActiveCampaign, Insightly, Callexa, eTermin, Quentn and a mail server.

On loopback, built from the vendors' contracts and from nothing of the plugins, so that both are checked
against each other. See README.md here; start with ``python -m sandbox``.
"""

from __future__ import annotations

from sandbox.app import Sandbox
from sandbox.credentials import (
    ACTIVECAMPAIGN_TOKEN,
    CALLEXA_APIKEY,
    CALLEXA_LOGIN,
    ETERMIN_PRIVATEKEY,
    ETERMIN_PUBLICKEY,
    INSIGHTLY_KEY,
    KLICKTIPP_APIKEY,
    KLICKTIPP_CUSTOMER_KEY,
    KLICKTIPP_DEVELOPER_KEY,
    KLICKTIPP_PASSWORD,
    KLICKTIPP_USERNAME,
    QUENTN_APIKEY,
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
    "ETERMIN_PRIVATEKEY",
    "ETERMIN_PUBLICKEY",
    "INSIGHTLY_KEY",
    "KLICKTIPP_APIKEY",
    "KLICKTIPP_CUSTOMER_KEY",
    "KLICKTIPP_DEVELOPER_KEY",
    "KLICKTIPP_PASSWORD",
    "KLICKTIPP_USERNAME",
    "QUENTN_APIKEY",
    "SMTP_PASSWORD",
    "SMTP_USER",
    "WEBINARIS_APIKEY",
    "WEBINARIS_PASSWORD",
    "Sandbox",
    "Scenario",
    "ScenarioError",
    "load_scenario",
]
