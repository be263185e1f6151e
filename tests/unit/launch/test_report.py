"""What is shown of appointments, and the lines that are copied into another terminal."""

from __future__ import annotations

import io
import json
import shlex
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from handoff.rules.rule import Rule
from launch.appointments import true_appointments
from launch.comparison import compare
from launch.expectation import expected
from launch.main_job import Outcome
from launch.reminders import reminders
from launch.report import push_lines, show
from launch.stack import Urls
from sandbox.scenario import Scenario
from sandbox.scenario_etermin import AppointmentModel

BEGAN = 1_790_000_000.0
RULE = Rule.model_validate({
    "id": "reminder", "title": "R", "source": "etermin", "when": {"hours": 1, "before": "start"},
    "steps": [{"step": "email", "template": "appointment_reminder"}],
})  # fmt: skip


def shown(arrived: bool, **appointment: Any) -> list[str]:
    """Return the cells of the line about one appointment."""
    given = {"uid": "a", "service": "Erstgespräch", "start": 3640, "booked": "-1d", "email": "a@example.org"}
    scenario = Scenario.model_validate({"etermin": {"appointments": [given | appointment]}})
    occasions = list(true_appointments(scenario, BEGAN))
    wanted = expected([RULE], occasions)
    journal = [
        {"seq": number, "at": one.due_at.timestamp() + 1, "system": "email", "action": "mail", "contact": one.contact,
         "detail": {"message_id": f"<handoff.{one.trace[2]}@example.org>"}}
        for number, one in enumerate(wanted, 1) if arrived
    ]  # fmt: skip
    outcome = Outcome(
        compare(wanted, journal), [], [], [], [], [], [], [], list(reminders([RULE], occasions))
    )  # fmt: skip
    output = io.StringIO()
    show(Console(file=output, width=200), outcome, Urls("ui", "sandbox", "mails"))
    [line] = [line for line in output.getvalue().split("Appointments")[1].splitlines() if "a@example.org" in line]
    return [cell.strip() for cell in line.strip("│").split("│")]


def clock(offset: float) -> str:
    return datetime.fromtimestamp(BEGAN + offset, UTC).astimezone().strftime("%H:%M:%S")


def test_a_reminder_that_moved_is_shown_with_both_moments_and_when_it_arrived() -> None:
    cells = shown(arrived=True, moves=[{"at": 10, "start": 3650}])
    assert cells[1:3] == ["Erstgespräch", f"moved {clock(10)}"]
    assert cells[4:] == [clock(40), clock(50), clock(51)]


def test_a_reminder_of_a_cancelled_appointment_is_shown_as_never_due() -> None:
    assert shown(arrived=True, cancelled=20)[2:] == [
        f"cancelled {clock(20)}", "reminder", clock(40), "never", "–",
    ]  # fmt: skip


def test_a_reminder_that_did_not_arrive_is_missing() -> None:
    assert shown(arrived=False, booked=5)[2:] == [f"booked {clock(5)}", "reminder", clock(40), clock(40), "missing"]


def test_the_lines_for_curl_are_shell_words_that_the_stand_in_and_the_receiver_take() -> None:
    url = "http://127.0.0.1:8080/handoffs/webhooks/etermin_default/secret"
    first, push, book = (line.partition(": ") for line in push_lines(url, "http://127.0.0.1:8091"))
    assert first[2] == url
    assert shlex.split(push[2])[-1] == url
    _, _, order, address = shlex.split(book[2])
    assert address == "http://127.0.0.1:8091/_sandbox/etermin/book"
    assert AppointmentModel.model_validate(json.loads(order)).start == 86460
