"""The loop guard finds cycles soon, and nothing else."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.engine.loops import MAX_CLOSINGS, MAX_PERIOD, LoopGuard, repeats_of

ADDED = 5000  # ids over this one are digits and punctuation, the others letters


def piece(token: int) -> bytes:
    return b"word" if token < ADDED else b" 0"


def found_at(tokens, guard: LoopGuard | None = None) -> int | None:
    """After how many of `tokens` the guard speaks up."""
    guard = guard or LoopGuard(piece)
    for count, token in enumerate(tokens, 1):
        if guard.feed(token):
            return count
    return None


@settings(max_examples=60)
@given(
    period=st.integers(1, MAX_PERIOD),
    before=st.lists(st.integers(0, 50), max_size=700),
    data=st.data(),
)
def test_a_cycle_of_any_period_is_found_soon(period, before, data):
    # Tokens of its own and no two alike, so that its period is no other one.
    cycle = data.draw(st.permutations(range(100, 100 + period)))
    tokens = itertools.chain(before, itertools.islice(itertools.cycle(cycle), 3000))
    found = found_at(tokens)
    assert found is not None
    assert found - len(before) == repeats_of(period) * period


@pytest.mark.parametrize("period", [3, 40, MAX_PERIOD])
def test_a_cycle_is_found_however_late_it_begins(period):
    for before in range(3000, 8000, 450):
        tokens = itertools.chain(range(before), itertools.cycle(range(before, before + period)))
        guard = LoopGuard(lambda _: b"word")
        assert found_at(tokens, guard) == before + repeats_of(period) * period


@given(tokens=st.lists(st.integers(0, 3), max_size=120))
def test_short_texts_are_never_loops(tokens):
    assert found_at(tokens) is None


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), size=st.integers(2, 50))
def test_what_does_not_repeat_is_never_one(seed, size):
    assert found_at(random.Random(seed).choices(range(size), k=6000)) is None


FIGURES = random.Random(0).choices(range(ADDED, ADDED + 10), k=300)
LINE = list(range(200, 212))
WANTED = {
    # Each line differs by the number before it.
    "numbered list": [t for n in range(500) for t in (ADDED + n // 10, ADDED + n % 10, *LINE)],
    "rows of ten zeros": ([ADDED + 1] * 20 + [ADDED + 2]) * 40,
    "a long ruler": [ADDED + 1] * 500,
    "a drawing": ([ADDED + 1, ADDED + 2, ADDED + 1, ADDED + 3]) * 100,
    "some lines of code that are equal": [1, 2, *[*LINE, 3] * 12, 4],
    "a verse said ten times": [*range(300, 340)] * 8 + [1],
    "a word a hundred times": [7] * 100,
    "a table with one changing figure": [t for n in range(300) for t in (*LINE, FIGURES[n])],
}


@pytest.mark.parametrize("tokens", WANTED.values(), ids=WANTED)
def test_what_people_want_is_no_loop(tokens):
    assert found_at(tokens) is None


def test_without_letters_it_takes_four_times_as_long():
    for period in (1, 4, 21, 100):
        cycle = [ADDED + n for n in range(period)]
        found = found_at(itertools.islice(itertools.cycle(cycle), 20_000))
        assert found == 4 * repeats_of(period) * period


def test_letters_across_tokens_are_letters():
    halves = {1: "字".encode()[:2], 2: "字".encode()[2:]}
    guard = LoopGuard(lambda token: halves[token])
    assert found_at(itertools.islice(itertools.cycle([1, 2]), 1000), guard) == repeats_of(2) * 2


def test_once_found_it_begins_anew():
    """An answer that is continued after it has to say the same as often again."""
    guard = LoopGuard(piece)
    first = found_at([7] * 1000, guard)
    assert first == found_at([7] * 1000, guard)


def test_closing_markers():
    guard = LoopGuard(piece)
    closings = [guard.feed(n, closes=n % 10 == 0) for n in range(1, 10 * MAX_CLOSINGS + 1)]
    assert [n for n, found in enumerate(closings, 1) if found] == [10 * MAX_CLOSINGS]
    assert not guard.feed(1, closes=True)
