from __future__ import annotations

import pytest

from sandbox.insightly.kinds import OPPORTUNITY, PROJECT
from sandbox.insightly.moments import day_text, query_moment, record_text, webhook_text
from sandbox.insightly.record import Record
from sandbox.insightly.table import Table


def a_table(*changes: tuple[int, int]) -> Table:
    table = Table(OPPORTUNITY)
    for number, second in changes:
        table.put(Record(OPPORTUNITY, number, second, second))
    return table


def change(table: Table, number: int, second: int) -> None:
    record = table.get(number)
    assert record is not None
    table.touch(record, second)


def test_ids_ascend_whatever_the_order_of_changes() -> None:
    table = a_table((1, 50), (2, 10), (3, 30))
    assert table.ids() == [1, 2, 3]
    assert (table.ids(10), table.ids(30), table.ids(50)) == ([1, 3], [1], [])
    change(table, 2, 50)
    change(table, 3, 20)
    assert (table.ids(9), table.ids(20), table.ids(49)) == ([1, 2, 3], [1, 2], [1, 2])


def test_a_record_changed_twice_or_back_in_time_counts_once() -> None:
    table = a_table((1, 10), (2, 10))
    for second in (30, 40, 20):
        change(table, 1, second)
    assert (table.ids(5), table.ids(19), table.ids(20)) == ([1, 2], [1], [])


def test_what_is_deleted_is_gone_and_its_id_not_used_again() -> None:
    table = a_table((1, 10), (2, 20), (3, 30))
    for number in (1, 2):
        record = table.get(number)
        assert record is not None
        table.delete(record)
    assert (table.ids(), table.ids(15), len(table), table.next_id()) == ([3], [3], 1, 4)
    with pytest.raises(ValueError, match="ascend"):
        table.put(Record(OPPORTUNITY, 2, 40, 40))


def test_every_change_makes_another_etag() -> None:
    table = a_table((1, 10))
    record = table.get(1)
    assert record is not None
    before = record.etag
    change(table, 1, 10)
    assert record.etag != before


def test_a_closing_state_sets_the_day_and_reopening_clears_it() -> None:
    record = Record(PROJECT, 1, 0, 0, state="IN PROGRESS")
    for state, at in (("COMPLETED", 5), ("COMPLETED", 6), ("IN PROGRESS", 7), ("CANCELLED", 8)):
        record.enter(state, at)
        assert (record.closed is not None) == (state == "COMPLETED")
    assert [(one.at, one.state) for one in record.history] == [(5, "COMPLETED"), (7, "IN PROGRESS"), (8, "CANCELLED")]


def test_three_ways_to_write_a_moment() -> None:
    assert record_text(1489116850) == "2017-03-10 03:34:10"
    assert day_text(1489116850) == "2017-03-10 00:00:00"
    assert webhook_text(1489116850) == "/Date(1489116850000-0800)/"
    assert query_moment("2017-03-10T03:34:10Z") == query_moment("2017-03-10T04:34:10.900+01:00") == 1489116850


@pytest.mark.parametrize(
    "text", ["", "2017-03-10", "2017-03-10 03:34:10", "2017-03-10T03:34:10", "2017-02-30T00:00:00Z"]
)
def test_what_is_no_query_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        query_moment(text)
