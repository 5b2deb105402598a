"""Which turns are left out: never too few, never the wrong ones, the same ones for a while."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.context import TRIM_TO, Policy
from qwen_desktop.engine.window import Turn, left_out

turn_lists = st.lists(
    st.builds(
        lambda tokens, pinned: (tokens, pinned), st.integers(0, 50), st.booleans() | st.just(False)
    ),
    min_size=1,
    max_size=20,
).map(lambda pairs: [Turn((str(n),), tokens, pin) for n, (tokens, pin) in enumerate(pairs)])
dropping = st.sampled_from([Policy.DROP_OLDEST, Policy.KEEP_FIRST])


def total(turns: list[Turn], gone: tuple[int, ...]) -> int:
    return sum(turn.tokens for index, turn in enumerate(turns) if index not in gone)


@given(turn_lists, st.integers(0, 30), st.integers(1, 300), dropping)
def test_what_stays_fits_unless_nothing_more_may_go(turns, around, budget, policy):
    gone = left_out(turns, around, budget, policy)
    kept_first = {0} if policy is Policy.KEEP_FIRST else set()
    may_go = {i for i, turn in enumerate(turns[:-1]) if not turn.pinned and i not in kept_first}
    assert set(gone) <= may_go
    assert len(set(gone)) == len(gone)
    assert around + total(turns, gone) <= budget or set(gone) == may_go


@given(turn_lists, st.integers(0, 30), st.integers(1, 300), dropping)
def test_nothing_is_left_out_without_need(turns, around, budget, policy):
    if around + total(turns, ()) <= budget:
        assert left_out(turns, around, budget, policy) == ()


@given(turn_lists, st.integers(0, 30), st.integers(1, 300))
def test_asking_leaves_nothing_out(turns, around, budget):
    assert left_out(turns, around, budget, Policy.ASK) == ()


@given(turn_lists, st.integers(0, 30), st.integers(1, 300), dropping)
def test_what_is_gone_stays_gone(turns, around, budget, policy):
    """A conversation that grows only adds to what is left out, so that the prefix is stable."""
    before: set[int] = set()
    for length in range(1, len(turns) + 1):
        now = set(left_out(turns[:length], around, budget, policy))
        assert before <= now
        before = now


def test_enough_goes_for_several_turns():
    turns = [Turn((str(n),), 10, pinned=False) for n in range(40)]
    changes = []
    for length in range(1, len(turns) + 1):
        gone = left_out(turns[:length], 5, 100, Policy.DROP_OLDEST)
        kept = 5 + total(turns[:length], gone)
        assert kept <= 100
        if not changes or changes[-1] != gone:
            changes.append(gone)
            assert kept <= max(TRIM_TO * 100, 15)
    assert changes[-1] == tuple(range(33))
    assert len(changes) == 12  # every third turn, not every one


def test_the_middle_goes_where_the_first_turn_is_kept():
    turns = [Turn((str(n),), 10, pinned=n == 4) for n in range(10)]
    assert left_out(turns, 0, 60, Policy.KEEP_FIRST) == (1, 2, 3, 5, 6, 7)
