"""What each kind of Insightly record is called and which fields it has (contract: insightly.md 1.4, 1.6 to 1.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

OPPORTUNITY_STATES = ("OPEN", "ABANDONED", "LOST", "SUSPENDED", "WON")
PROJECT_STATES = ("ABANDONED", "CANCELLED", "COMPLETED", "DEFERRED", "IN PROGRESS", "NOT STARTED")
LINKABLE = frozenset(
    {"Contact", "Organisation", "Opportunity", "Project", "Lead", "Task", "Event", "Note", "Email"}
)  # fmt: skip
"""Object names in links are singular."""


@dataclass(frozen=True)
class Kind:
    """One kind of record.

    :param name: singular, as in links. :param plural: as in paths. :param number: the field with the id.
    :param required: what a new record must have.
    :param writable: fields that a client may set, with what they are while nobody did.
    :param fixed: fields that only the vendor sets, likewise.
    :param state: the field with the state, empty when there is none. :param states: its values, upper case.
    :param closed: the field with the day of the closing. :param closing: states that set that day, others clear it.
    :param parts: what ``brief=true`` leaves out.
    """

    name: str
    plural: str
    number: str
    required: tuple[str, ...]
    writable: dict[str, Any]
    fixed: dict[str, Any]
    parts: tuple[str, ...] = ("CUSTOMFIELDS", "TAGS", "LINKS")
    state: str = ""
    states: tuple[str, ...] = ()
    closed: str = ""
    closing: frozenset[str] = frozenset()


_ACTIVITY = ("OWNER_USER_ID", "CREATED_USER_ID", "NEXT_ACTIVITY_DATE_UTC")

OPPORTUNITY = Kind(
    "Opportunity", "Opportunities", "OPPORTUNITY_ID", ("OPPORTUNITY_NAME",),
    dict.fromkeys(
        ("OPPORTUNITY_NAME", "OPPORTUNITY_DETAILS", "RESPONSIBLE_USER_ID", "CATEGORY_ID", "IMAGE_URL", "BID_CURRENCY",
         "BID_AMOUNT", "BID_TYPE", "BID_DURATION", "PROBABILITY", "FORECAST_CLOSE_DATE", "ORGANISATION_ID",
         "PRICEBOOK_ID")
    ),
    dict.fromkeys(("OPPORTUNITY_VALUE", "PIPELINE_ID", "STAGE_ID", *_ACTIVITY)),
    state="OPPORTUNITY_STATE", states=OPPORTUNITY_STATES,
    closed="ACTUAL_CLOSE_DATE", closing=frozenset({"WON", "LOST", "ABANDONED"}),
)  # fmt: skip

PROJECT = Kind(
    "Project", "Projects", "PROJECT_ID", ("PROJECT_NAME", "STATUS"),
    dict.fromkeys(
        ("PROJECT_NAME", "PROJECT_DETAILS", "STARTED_DATE", "OPPORTUNITY_ID", "CATEGORY_ID", "IMAGE_URL",
         "RESPONSIBLE_USER_ID")
    ),
    dict.fromkeys(("PIPELINE_ID", "STAGE_ID", *_ACTIVITY)),
    state="STATUS", states=PROJECT_STATES, closed="COMPLETED_DATE", closing=frozenset({"COMPLETED"}),
)  # fmt: skip

_ADDRESSES = tuple(
    f"ADDRESS_{which}_{part}"
    for which in ("MAIL", "OTHER")
    for part in ("STREET", "CITY", "STATE", "POSTCODE", "COUNTRY")
)
_SOCIAL = ("SOCIAL_LINKEDIN", "SOCIAL_FACEBOOK", "SOCIAL_TWITTER")
_PHONES = ("PHONE", "PHONE_HOME", "PHONE_MOBILE", "PHONE_OTHER", "PHONE_ASSISTANT", "PHONE_FAX")

CONTACT = Kind(
    "Contact", "Contacts", "CONTACT_ID", ("FIRST_NAME",),
    {
        **dict.fromkeys(
            ("SALUTATION", "FIRST_NAME", "LAST_NAME", "IMAGE_URL", "BACKGROUND", *_SOCIAL, "DATE_OF_BIRTH", *_PHONES,
             "EMAIL_ADDRESS", "ASSISTANT_NAME", *_ADDRESSES, "ORGANISATION_ID", "TITLE")
        ),
        "EMAIL_OPTED_OUT": False,
    },
    dict.fromkeys(_ACTIVITY),
    parts=("CUSTOMFIELDS", "TAGS", "DATES", "LINKS"),
)  # fmt: skip

NOTE = Kind(
    "Note", "Notes", "NOTE_ID", ("TITLE",), dict.fromkeys(("TITLE", "BODY")), {"OWNER_USER_ID": None}, parts=("LINKS",)
)

PARENTS = (CONTACT, OPPORTUNITY, PROJECT)
"""Kinds that have tags and notes."""
SINGULAR_PATHS = frozenset(
    {"Ticket", "Product", "Quotation", "Pricebook", "Prospect", "Instance", "KnowledgeArticle", "OpportunityLineItem",
     "QuotationLineItem", "PricebookEntry"}
)  # fmt: skip
WRONG_NUMBERS = frozenset(kind.name for kind in (*PARENTS, NOTE)) | {f"{name}s" for name in SINGULAR_PATHS}
"""First parts of paths that are answered with 405 (contract: insightly.md 1.4)."""
