"""Days, headings and counts of the list as pure functions."""

import os
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.summary import (
    DAYS,
    Folder,
    ListFilter,
    ListShape,
    Place,
    Section,
    Summary,
    day_starts,
    next_midnight,
    one_name,
    section_of,
)

DAY = 86_400.0
TIMES = st.floats(1e9, 2e9)  # 2001 to 2033


@pytest.fixture
def berlin(monkeypatch):
    """A zone with summer time, as far as this system has it."""
    if not hasattr(time, "tzset"):
        pytest.skip("the zone of a process cannot be changed here")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@given(TIMES)
def test_days_begin_at_local_midnights_before_now(now):
    starts = day_starts(now)
    assert list(starts) == sorted(starts, reverse=True)
    assert starts[0] <= now < next_midnight(now)
    for start in (*starts, next_midnight(now)):
        assert time.localtime(start)[3:6] == (0, 0, 0)
    days = [round((starts[0] - start) / DAY) for start in starts]
    assert days == [0, 1, 7, 30]


def test_days_are_an_hour_longer_or_shorter_where_the_clock_is_changed(berlin):
    noon = time.mktime((2026, 3, 29, 12, 0, 0, 0, 0, -1))  # the day begins in winter time
    if "CEST" not in time.tzname:
        pytest.skip("this system does not know the zone")
    assert next_midnight(noon) - day_starts(noon)[0] == 23 * 3600
    noon = time.mktime((2026, 10, 25, 12, 0, 0, 0, 0, -1))
    assert next_midnight(noon) - day_starts(noon)[0] == 25 * 3600
    assert os.environ["TZ"]


@given(TIMES, st.lists(st.floats(-1, 60 * DAY), max_size=20))
def test_newer_rows_never_stand_under_a_later_heading(now, ages):
    starts = day_starts(now)
    rows = [Summary("", "", "", now - age) for age in sorted(ages)]
    places = [DAYS.index(section_of(row, starts)) for row in rows]
    assert places == sorted(places)
    for row, place in zip(rows, places, strict=True):
        assert (row.updated_at >= starts[0]) == (DAYS[place] is Section.TODAY)


def test_a_pin_counts_in_the_list_alone():
    starts = day_starts(time.time())
    pinned = Summary("", "", "", 0.0, pinned=True)
    assert section_of(pinned, starts) is Section.PINNED
    assert section_of(replace(pinned, place=Place.ARCHIVE), starts) is Section.OLDER


def test_a_filter_takes_rows_of_its_place_folder_and_tag():
    row = Summary("", "", "", 0.0, folder="f", tags=("a", "b"))
    assert ListFilter().takes(row)
    assert ListFilter(folder="f", tag="b").takes(row)
    assert not ListFilter(folder="g").takes(row)
    assert not ListFilter(tag="c").takes(row)
    assert not ListFilter(Place.ARCHIVE).takes(row)
    assert not ListFilter().takes(replace(row, place=Place.BIN))


def test_counts_follow_the_changes_of_rows():
    shape = ListShape(
        sections=((Section.TODAY, 2), (Section.OLDER, 1)),
        folders=(Folder("f", "Work", 1), Folder("g", "Trips", 0)),
        tags=(("a", 1),),
    )
    old = Summary("x", "", "", 0.0, folder="f", tags=("a",))
    moved = replace(old, folder="g", tags=("b",))
    archived = replace(old, place=Place.ARCHIVE)
    deleted = replace(old, place=Place.BIN)
    assert shape.with_changes([(old, moved)]).folders == (
        Folder("f", "Work", 0),
        Folder("g", "Trips", 1),
    )
    assert shape.with_changes([(old, moved)]).tags == (("a", 0), ("b", 1))
    assert shape.with_changes([(old, archived)]).archived == 1
    assert shape.with_changes([(old, archived)]).tags == (("a", 0),)
    assert shape.with_changes([(old, deleted)]).deleted == 1
    assert shape.with_changes([(old, deleted), (deleted, old)]) == shape
    assert shape.with_changes([(None, old)]).tags == (("a", 2),)
    assert shape.with_rows({Section.PINNED: 1, Section.OLDER: -1}).sections == (
        (Section.PINNED, 1),
        (Section.TODAY, 2),
    )
    assert [shape.section_at(n) for n in range(-1, 4)] == [
        None,
        Section.TODAY,
        Section.TODAY,
        Section.OLDER,
        None,
    ]


@given(st.text(), st.integers(1, 50))
def test_a_name_is_short_and_on_one_line(text, limit):
    name = one_name(text, limit)
    assert len(name) <= limit
    assert name == " ".join(name.split())
    assert one_name(name, limit) == name
