"""What Insightly's webhook says, and how little of it is needed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hooks.protocols.insightly_push import Pushed, pushed

UPDATED = datetime(2017, 3, 10, 3, 34, 10, 787000, tzinfo=UTC)
WON = {"OPPORTUNITY_ID": 31, "OPPORTUNITY_STATE": "Won", "DATE_UPDATED_UTC": "/Date(1489116850787-0800)/"}


def test_the_sample_of_the_vendor() -> None:
    assert pushed({"entity": WON, "more": [1]}) == Pushed("opportunity", 31, "WON", UPDATED)


def test_a_project() -> None:
    entity = {"PROJECT_ID": 7, "STATUS": " COMPLETED ", "DATE_UPDATED_UTC": "/Date(1489116850787)/"}
    assert pushed({"entity": entity}) == Pushed("project", 7, "COMPLETED", UPDATED)


@pytest.mark.parametrize("changes", [{"OPPORTUNITY_STATE": 5}, {"OPPORTUNITY_STATE": "x" * 41}])
def test_a_state_that_makes_no_sense_is_left_out(changes: dict[str, object]) -> None:
    assert pushed({"entity": WON | changes}) == Pushed("opportunity", 31, "", UPDATED)


@pytest.mark.parametrize("time", [None, 5, "", "2026-03-02", "/Date(99999999999999999)/", "/Date(999999999999999)/"])
def test_a_time_that_cannot_be_read_is_left_out(time: object) -> None:
    assert pushed({"entity": WON | {"DATE_UPDATED_UTC": time}}).updated_at is None


@pytest.mark.parametrize(
    "document",
    [
        None, 5, "entity", [], {}, {"entity": None}, {"entity": []}, {"entity": {}}, {"entity": {"CONTACT_ID": 5}},
        *({"entity": WON | {"OPPORTUNITY_ID": number}} for number in (0, -1, True, 1.0, "31", None, 2**63, [31])),
    ],
)  # fmt: skip
def test_what_is_about_neither_kind_of_record_is_not_taken(document: object) -> None:
    with pytest.raises(ValueError, match=r"entity") as error:
        pushed(document)
    assert "31" not in str(error.value)
