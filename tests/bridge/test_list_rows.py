"""The rows in memory against the whole list: what is shown at an offset is never a wrong row."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.bridge.list_rows import PAGE, PAGES, ListRows
from qwen_desktop.chat.summary import Place, Summary

SIZE = PAGE * 12


def long_list(place=Place.CHATS):
    """Rows in their order, the first ten pinned; no two of the same time."""
    return [
        Summary(f"c{n}", "", "", float(SIZE - n), pinned=n < 10, place=place) for n in range(SIZE)
    ]


def in_order(rows, place):
    pins = place is Place.CHATS
    return sorted(rows, key=lambda row: (row.pinned and pins, row.updated_at), reverse=True)


def held(rows, count):
    return {offset: row for offset in range(count) if (row := rows.at(offset)) is not None}


def put(rows, everything, page):
    return rows.put(page, everything[page * PAGE : (page + 1) * PAGE])


def test_a_page_is_put_and_tells_what_is_new():
    rows, everything = ListRows(), long_list()
    assert put(rows, everything, 1) == (PAGE, 2 * PAGE - 1)
    assert put(rows, everything, 1) is None
    everything[PAGE + 7] = replace(everything[PAGE + 7], title="other")
    assert put(rows, everything, 1) == (PAGE + 7, PAGE + 7)
    assert rows.at(PAGE - 1) is None
    assert rows.offset_of(everything[PAGE + 7].id) == PAGE + 7
    assert rows.put(1, ()) == (PAGE, 2 * PAGE - 1)
    assert rows.pages == ()


def test_the_pages_used_longest_ago_go():
    rows, everything = ListRows(), long_list()
    for page in range(PAGES):
        put(rows, everything, page)
    assert rows.at(0) is not None  # used again
    put(rows, everything, PAGES)
    assert rows.at(PAGE) is None
    assert rows.at(0) == everything[0]
    assert rows.offset_of(everything[PAGE].id) is None
    assert len(rows) == PAGES * PAGE


@settings(max_examples=60, deadline=None)
@given(
    place=st.sampled_from([Place.CHATS, Place.ARCHIVE]),
    pages=st.lists(st.integers(0, 11), max_size=6),
    gone=st.lists(st.integers(0, SIZE - 1), max_size=8, unique=True),
    come=st.lists(st.tuples(st.booleans(), st.integers(-1, SIZE)), max_size=5, unique=True),
)
def test_what_is_held_stays_right_as_rows_come_and_go(place, pages, gone, come):
    rows, everything = ListRows(place), long_list(place)
    for page in pages:
        put(rows, everything, page)
    before = len(rows)
    loaded = [offset for offset in gone if rows.at(offset) is not None]
    leaving = [everything[offset] for offset in gone]
    rows.remove(leaving)
    everything = [row for row in everything if row not in leaving]
    assert len(rows) == before - len(loaded)
    for n, (pinned, at) in enumerate(come):
        new = Summary(f"new{n}", "", "", at + 0.5 + n / 100, pinned=pinned, place=place)
        rows.insert(new, len(everything))
        everything = in_order([*everything, new], place)
        offset = everything.index(new)
        neighbours = [o for o in (offset - 1, offset + 1) if 0 <= o < len(everything)]
        if all(rows.at(o) is not None for o in neighbours):
            assert rows.at(offset) == new
    for offset, row in held(rows, SIZE + 20).items():
        assert everything[offset] == row
        assert rows.offset_of(row.id) == offset


@settings(max_examples=20, deadline=None)
@given(gone=st.lists(st.integers(0, 2 * PAGE - 1), max_size=8, unique=True))
def test_in_the_bin_rows_keep_their_order_whatever_their_age(gone):
    everything = [replace(row, place=Place.BIN) for row in reversed(long_list())]
    rows = ListRows(Place.BIN)
    for page in (0, 1):
        put(rows, everything, page)
    leaving = [everything[offset] for offset in gone]
    rows.remove(leaving)
    new = Summary("new", "", "", 3.5, place=Place.BIN)
    rows.insert(new, SIZE - len(gone))
    everything = [new, *(row for row in everything if row not in leaving)]
    assert held(rows, SIZE) == dict(enumerate(everything[: 2 * PAGE + 1 - len(gone)]))


def test_a_row_that_is_not_loaded_moves_those_behind_it():
    rows, everything = ListRows(), long_list()
    put(rows, everything, 5)
    rows.remove([everything[20]])
    assert rows.at(5 * PAGE - 1) == everything[5 * PAGE]
    rows.insert(replace(everything[20], pinned=True), SIZE - 1)
    assert rows.at(5 * PAGE) == everything[5 * PAGE]
    assert rows.offset_of(everything[20].id) is None  # where is not certain: it is read again
