"""Stop strings cut where they begin, however the text is cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qwen_desktop.engine.stops import StopStrings


def through(pieces, stops, before: str = "") -> tuple[str, bool]:
    """(what was let through, whether a stop string was found)."""
    filtered = StopStrings(stops, before)
    found = "".join(filtered.feed(piece) for piece in pieces)
    return found + filtered.flush(), filtered.found


def expected(text: str, stops) -> tuple[str, bool]:
    """By str.find alone: the one that ends first, the longest of several."""
    matches = [(text.find(s) + len(s), text.find(s)) for s in stops if s in text]
    return (text[: min(matches)[1]], True) if matches else (text, False)


LETTERS = st.text("ab\n字", max_size=30)
STOPS = st.lists(st.text("ab\n字", min_size=1, max_size=5), max_size=4)


@given(text=LETTERS, stops=STOPS, cuts=st.lists(st.integers(0, 30)))
@example(text="aab", stops=["ab"], cuts=[1, 2])
@example(text="abab字", stops=["ab字", "bab字"], cuts=[1, 2, 3, 4])
def test_the_same_as_searching_the_whole_text(text, stops, cuts):
    ends = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[a:b] for a, b in zip(ends, ends[1:])]
    assert through(pieces, stops) == expected(text, stops)
    assert through(list(text), stops) == expected(text, stops)


@given(before=LETTERS, text=LETTERS, stops=STOPS)
def test_one_may_begin_in_what_was_let_through_before(before, text, stops):
    """What is held of `before` comes again, to be left out; a match within it is no match."""
    filtered = StopStrings(stops, before)
    held = filtered.held
    assert before.endswith(held)
    longest = max((n for s in stops for n in range(len(s)) if before.endswith(s[:n])), default=0)
    assert len(held) == longest
    found = filtered.feed(text) + filtered.flush()
    assert (found, filtered.found) == expected(held + text, stops)


@given(text=LETTERS, stops=STOPS)
def test_nothing_is_held_that_could_not_become_one(text, stops):
    filtered = StopStrings(stops)
    given_out = ""
    for length, char in enumerate(text, 1):
        given_out += filtered.feed(char)
        if filtered.found:
            break
        held = text[len(given_out) : length]
        assert not held or any(stop.startswith(held) for stop in stops)


@pytest.mark.parametrize("stops", [(), ("",)])
def test_without_any_everything_passes_at_once(stops):
    filtered = StopStrings(stops)
    assert filtered.feed("text") == "text"
    assert not filtered.found


def test_nothing_comes_after_it():
    filtered = StopStrings(["END"])
    assert filtered.feed("a END b") == "a "
    assert filtered.feed("more") == filtered.flush() == ""
