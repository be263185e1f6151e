"""Bodies of the sandbox's own calls about eTermin."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from sandbox.etermin.appointment import ADDITIONAL, Command
from sandbox.etermin.set_up import ABOUT
from sandbox.scenario_etermin import Minutes, Moment

EDITABLE = (*ABOUT, *ADDITIONAL)


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AppointmentOrder(_Order):
    """About one appointment.

    :param uid: its external id. :param id: instead of it, the numeric one.
    """

    uid: str = ""
    id: int = 0


class MoveOrder(AppointmentOrder):
    """Body of ``POST /_sandbox/etermin/move``.

    :param start: an offset from now, or ISO 8601 with a zone. :param minutes: as long as it was when left out.
    :param calendar: name of another calendar, the same when empty.
    """

    start: Moment
    minutes: Minutes | None = None
    calendar: str = ""


class EditOrder(AppointmentOrder):
    """Body of ``POST /_sandbox/etermin/edit``; neither start nor end changes.

    :param fields: by the words of the scenario file, and ``additional1`` to ``additional20``.
    """

    fields: dict[str, str] = Field(default_factory=dict)
    newsletter: bool | None = None


class ButtonOrder(_Order):
    """Body of ``POST /_sandbox/etermin/test``: which test button is pressed."""

    command: Command = "CREATED"
