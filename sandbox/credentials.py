"""The credentials that every scenario has unless it names others; good for nothing but this sandbox."""

from __future__ import annotations

WEBINARIS_APIKEY = "5a9db0c3e1f24876b0d4a1c2e3f40516"
"""Account-wide key of the JSON calls (``apikey``)."""
WEBINARIS_PASSWORD = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"  # noqa: S105
"""Key of a single webinar, used by the legacy call (``password``) and showtimes (``api_password``)."""

KLICKTIPP_USERNAME = "sandbox"
KLICKTIPP_PASSWORD = "klicktipp-sandbox"  # noqa: S105
KLICKTIPP_DEVELOPER_KEY = "6b6c69636b746970702d73616e64626f782d646576656c6f7065722d6b657921"
"""Hex; key of the HMAC in ``X-Ci``."""
KLICKTIPP_CUSTOMER_KEY = "sandbox-customer-key"
KLICKTIPP_APIKEY = "sandbox-listbuilding-key"

ACTIVECAMPAIGN_TOKEN = "activecampaign-sandbox-token"  # noqa: S105

INSIGHTLY_KEY = "1f0c7a52-5b1d-4c8e-9a77-sandbox00key"
"""API key of Insightly, the user name of HTTP Basic; the password is empty."""
CALLEXA_LOGIN = "sandbox@example.org"
CALLEXA_APIKEY = "callexa-sandbox-apikey"

ETERMIN_PUBLICKEY = "pk-etermin-sandbox"
ETERMIN_PRIVATEKEY = "sk-etermin-sandbox"
"""Key of the HMAC in ``signature``."""
QUENTN_APIKEY = "quentn-sandbox-apikey"

SMTP_USER = "sandbox"
SMTP_PASSWORD = "smtp-sandbox"  # noqa: S105
