"""What this distribution tells Airflow about itself: connection types with their forms.

The forms show the vendors' German product terms beside the English ones where users meet them.
"""

from __future__ import annotations

from typing import Any

Form = dict[str, Any]

TIMEOUT: Form = {
    "label": "Timeout in seconds",
    "schema": {"type": ["number", "null"], "default": 10, "minimum": 0.1},
    "description": "How long a whole answer may take.",
}
SETTLING: Form = {
    "label": "Settling time in seconds",
    "schema": {"type": ["number", "null"], "default": 2, "minimum": 0},
    "description": "How long the account may take until an effect it accepted can be read back.",
}
POLL_MINUTES: Form = {
    "label": "Minutes between polls / Abfrage alle ... Minuten",
    "schema": {"type": ["number", "null"], "default": 60, "minimum": 1},
    "description": "How often the account is asked for news; less often when the day's requests would not last.",
}


def rate(default: float, description: str) -> Form:
    """Return the field for an account's rate limit, shared by all workers."""
    return {
        "label": "Requests per second",
        "schema": {"type": ["number", "null"], "default": default, "minimum": 0.01},
        "description": description,
    }


def per_day(description: str) -> Form:
    """Return the field for an account's requests of a day, shared by all workers and by polling."""
    return {
        "label": "Requests per day / Anfragen pro Tag",
        "schema": {"type": ["integer", "null"], "minimum": 1},
        "description": f"{description} Empty: no daily limit. A day begins at midnight UTC.",
    }


def webhook_secrets(description: str) -> Form:
    """Return the field for the secrets by which an account's pushes are known."""
    rotated = "Several with blanks between, so that one can replace another; each at least 16 characters."
    return text("Webhook secrets / Webhook-Geheimnisse", f"{description} {rotated}", format="password")


def webhook_require() -> Form:
    """Return the field for the proofs that each push must bring."""
    places = "Of url, header, credentials, hash, signature: those that each push must bring. Empty: any one."
    return text("Required proofs of a webhook / Verlangte Nachweise", places)


def mail_status(name: str, description: str) -> Form:
    """Return the field for the number of one of Quentn's e-mail statuses."""
    return {
        "label": f"Number of mail_status: {name}",
        "schema": {"type": ["integer", "null"], "minimum": 0},
        "description": f"Quentn does not publish the numbers. {description}",
    }


def text(label: str, description: str, **schema: object) -> Form:
    """Return a text field; pass ``format="password"`` for a secret."""
    return {"label": label, "schema": {"type": ["string", "null"], **schema}, "description": description}


KLICKTIPP: Form = {
    "hook-class-name": "hooks.klicktipp.KlickTippHook",
    "hook-name": "KlickTipp",
    "connection-type": "klicktipp",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port", "extra"],
        "relabeling": {
            "host": "Base URL / Basisadresse",
            "login": "User name / Benutzername",
            "password": "Password / Passwort",
        },
        "placeholders": {
            "host": "https://api.klicktipp.com",
            "login": "main-sub (a sub-account with the role API User)",
            "password": "not needed with developer key and customer key",
        },
    },
    "conn-fields": {
        "developer_key": text(
            "Developer key / Entwicklerschlüssel",
            "Instead of a password, with the customer key (Enterprise and partners). Hexadecimal digits.",
            format="password",
        ),
        "customer_key": text(
            "Customer key / Kundenschlüssel", "The key your customer granted to the developer key.", format="password"
        ),
        "timeout": TIMEOUT,
        "requests_per_second": rate(10, "Over all workers. KlickTipp documents no limit; 10 is a careful choice."),
        "requests_per_day": per_day("KlickTipp documents none."),
        "settling_seconds": SETTLING,
    },
}

ACTIVECAMPAIGN: Form = {
    "hook-class-name": "hooks.activecampaign.ActiveCampaignHook",
    "hook-name": "ActiveCampaign",
    "connection-type": "activecampaign",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port", "login", "extra"],
        "relabeling": {"host": "API URL / API-URL", "password": "API key / Api-Token"},
        "placeholders": {
            "host": "https://youraccount.api-us1.com (Settings > Developer / Einstellungen > Entwickler)",
            "password": "from the same page",
        },
    },
    "conn-fields": {
        "timeout": TIMEOUT,
        "requests_per_second": rate(5, "Over all workers. ActiveCampaign allows 5 per account over all its keys."),
        "requests_per_day": per_day("ActiveCampaign documents none."),
        "settling_seconds": SETTLING,
        "bulk_threshold": {
            "label": "Bulk import from",
            "schema": {"type": ["integer", "null"], "default": 50, "minimum": 0},
            "description": "So many contacts waiting at once go out as one bulk import; 0 turns it off.",
        },
    },
}

WEBINARIS: Form = {
    "hook-class-name": "hooks.webinaris.WebinarisHook",
    "hook-name": "Webinaris",
    "connection-type": "webinaris",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port", "login", "extra"],
        "relabeling": {"host": "Base URL / Basisadresse", "password": "API key / API-Schlüssel (account-wide)"},
        "placeholders": {"host": "https://webinaris.co", "password": "one key for the whole account"},
    },
    "conn-fields": {
        "timezone": text(
            "Time zone / Zeitzone",
            "IANA name of the zone in which the account states its dates.",
            default="Europe/Berlin",
        ),
        "assumed_prefix": text(
            "Path of the assumed calls",
            "Participants and presence are not documented by Webinaris; where they are asked for.",
            default="/api/assumed",
        ),
        "showtimes_host": text(
            "Base URL of showtimes", "Empty: https://app.webinaris.co, or the base URL above when it is another one."
        ),
        "timeout": TIMEOUT,
        "requests_per_day": per_day("Polling has nine tenths of them and is spread over the day."),
    },
}

CALLEXA: Form = {
    "hook-class-name": "hooks.callexa.CallexaHook",
    "hook-name": "Callexa",
    "connection-type": "callexa",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port", "extra"],
        "relabeling": {
            "host": "Base URL / Basisadresse",
            "login": "Login e-mail / Login-E-Mail",
            "password": "API key / API-Schlüssel",
        },
        "placeholders": {"host": "https://www.callexa.com", "login": "you@example.com", "password": "of your account"},
    },
    "conn-fields": {
        "timezone": text(
            "Time zone / Zeitzone", "IANA name of the zone of times that name none.", default="Europe/Berlin"
        ),
        "timeout": TIMEOUT,
        "requests_per_second": rate(5, "Over all workers. Nothing is known of a limit; 5 is a careful choice."),
        "requests_per_day": per_day("Nothing is known of one; polling has a fifth of what you set."),
        "poll_minutes": POLL_MINUTES,
        "settling_seconds": SETTLING,
        "path_surveys": text("Path of surveys", "Assumed: Callexa publishes no calls.", default="/api/v2/surveys"),
        "path_recipients": text(
            "Path of recipients", "Assumed; {survey} stands for its id.", default="/api/v2/surveys/{survey}/recipients"
        ),
        "path_answers": text(
            "Path of answers", "Assumed; {survey} stands for its id.", default="/api/v2/surveys/{survey}/answers"
        ),
        "field_email": text("Field of the address", "Assumed.", default="email"),
        "field_name": text("Field of the name", "Assumed: of a recipient's full name.", default="name"),
        "field_external_id": text(
            "Field of our own id", "Assumed: given with a recipient and shown again.", default="external_id"
        ),
        "field_delay": text("Field of the delay", "Assumed: days that Callexa waits.", default="delay_days"),
        "field_delay_most": text(
            "Field of the longest delay", "Assumed: days after which it does not write.", default="max_delay_days"
        ),
        "field_rating": text("Field of the rating", "Known from Segment.", default="NPS_rating"),
        "field_comment": text("Field of the comment", "Known from Segment.", default="NPS_comment"),
        "field_date": text("Field of the answer's date", "Known from Segment.", default="NPS_date"),
    },
}

INSIGHTLY: Form = {
    "hook-class-name": "hooks.insightly.InsightlyHook",
    "hook-name": "Insightly",
    "connection-type": "insightly",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port", "login", "extra"],
        "relabeling": {"host": "Base URL / Basisadresse", "password": "API key / API-Schlüssel"},
        "placeholders": {
            "host": "empty: https://api.POD.insightly.com/v3.1",
            "password": "User Settings > API / Benutzereinstellungen > API",
        },
    },
    "conn-fields": {
        "pod": text("Pod", "Part of the API URL that stands below the key, e.g. eu1, na1 or ap1."),
        "timeout": TIMEOUT,
        "requests_per_second": rate(10, "Over all workers and polling. Insightly allows 10."),
        "requests_per_day": per_day(
            "Said to be about 1,000 free, 40,000 Plus, 60,000 Professional, 100,000 Enterprise. Polling has half."
        ),
        "webhook_secrets": webhook_secrets(
            "For a workflow's webhook to https://YOUR-AIRFLOW/handoffs/webhooks/ID-OF-THIS-CONNECTION, as the password "
            "of its Basic credentials."
        ),
        "webhook_require": webhook_require(),
        "poll_minutes": POLL_MINUTES,
        "settling_seconds": SETTLING,
    },
}

QUENTN: Form = {
    "hook-class-name": "hooks.quentn.QuentnHook",
    "hook-name": "Quentn",
    "connection-type": "quentn",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port", "login", "extra"],
        "relabeling": {"host": "Base URL / Basisadresse", "password": "API key / API-Schlüssel"},
        "placeholders": {
            "host": "https://SYSTEM.eu-2.quentn.com (Einstellungen > API-Info)",
            "password": "from the same page",
        },
    },
    "conn-fields": {
        "timezone": text(
            "Time zone / Zeitzone", "IANA name of the zone in which date fields are kept.", default="Europe/Berlin"
        ),
        "date_format": text(
            "Format of date fields", "Assumed: how moments are written (strftime).", default="%Y-%m-%d %H:%M:%S"
        ),
        "mail_status_unknown": mail_status("unbekannt", "Required for rules, like the next two."),
        "mail_status_single": mail_status("Bestätigt (Single Opt-in)", "See unbekannt."),
        "mail_status_double": mail_status("Bestätigt (Double Opt-in)", "See unbekannt."),
        "mail_status_temporary": mail_status("temporär gesperrt", "Empty: such contacts are refused too."),
        "timeout": TIMEOUT,
        "requests_per_second": rate(5, "Over all workers. Quentn publishes no number; 5 is a careful choice."),
        "requests_per_day": per_day("Quentn publishes none."),
        "settling_seconds": SETTLING,
    },
}

ETERMIN: Form = {
    "hook-class-name": "hooks.etermin.ETerminHook",
    "hook-name": "eTermin",
    "connection-type": "etermin",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port", "extra"],
        "relabeling": {
            "host": "Base URL / Basisadresse",
            "login": "Public API key / Öffentlicher API-Schlüssel",
            "password": "Private API key / Privater API-Schlüssel",
        },
        "placeholders": {
            "host": "https://www.etermin.net",
            "login": "API > API & Web Push",
            "password": "from the same page",
        },
    },
    "conn-fields": {
        "timezone": text(
            "Time zone / Zeitzone",
            "Of the eTermin account: an IANA name, or a Windows name such as W. Europe Standard Time.",
            default="Europe/Berlin",
        ),
        "timeout": TIMEOUT,
        "requests_per_second": rate(5, "Over all workers. eTermin documents no limit; 5 is a careful choice."),
        "requests_per_day": per_day("eTermin documents none. Polling has nine tenths of them."),
        "webhook_secrets": webhook_secrets(
            "For the Web Push. In eTermin, under API > API & Web Push (API Schnittstellen > API Web Push), enter "
            "https://YOUR-AIRFLOW/handoffs/webhooks/ID-OF-THIS-CONNECTION and the secret as HTTP header "
            "X-Webhook-Secret; or as secret key hash, or as /SECRET at the end. handoff webhooks shows the address."
        ),
        "webhook_require": webhook_require(),
        "poll_minutes": {**POLL_MINUTES, "schema": {**POLL_MINUTES["schema"], "default": 5}},
    },
}

LEDGER: Form = {
    "hook-class-name": "hooks.ledger.LedgerHook",
    "hook-name": "Handoff ledger (PostgreSQL)",
    "connection-type": "handoff_ledger",
    "ui-field-behaviour": {
        "hidden-fields": ["extra"],
        "relabeling": {"schema": "Database"},
        "placeholders": {"host": "localhost", "port": "5432", "schema": "handoffs", "login": "handoffs"},
    },
    "conn-fields": {
        "options": text("Options", "Query string of the database URL, e.g. sslmode=require"),
    },
}

CONNECTION_TYPES: list[Form] = [KLICKTIPP, ACTIVECAMPAIGN, WEBINARIS, CALLEXA, INSIGHTLY, QUENTN, ETERMIN, LEDGER]
"""One entry a connection type: its form in Airflow. What opens such accounts is listed in :mod:`hooks.accounts`."""


def get_provider_info() -> dict[str, Any]:
    """Return the provider metadata (entry point ``apache_airflow_provider``)."""
    return {
        "package-name": "airflow-handoffs",
        "name": "Handoffs",
        "description": "Delayed, ordered, explained handoffs between webinar, CRM and mail systems.",
        "connection-types": CONNECTION_TYPES,
    }
