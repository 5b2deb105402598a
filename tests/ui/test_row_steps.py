"""From one list to another in few steps: for lists known in part, whatever happened to them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.summary import Section
from qwen_desktop.ui.row_steps import LIMIT, Insert, Move, Remove, apply, is_heading, steps


def headed(draw, ids, hidden):
    """`ids` under headings, some of them not read."""
    cuts = sorted(draw(st.lists(st.integers(0, len(ids)), min_size=5, max_size=5)))
    keys = []
    for section, begin, end in zip(Section, [0, *cuts], [*cuts, len(ids)], strict=True):
        if end > begin:
            keys.append(section)
            keys.extend(None if draw(hidden) else key for key in ids[begin:end])
    return keys


@st.composite
def changes(draw):
    ids = [f"i{n}" for n in range(draw(st.integers(0, 12)))]
    after = list(ids)
    for n in range(draw(st.integers(0, 4))):
        what = draw(st.sampled_from(("move", "add", "remove")))
        if what == "add":
            after.insert(draw(st.integers(0, len(after))), f"new{n}")
        elif after:
            key = after.pop(draw(st.integers(0, len(after) - 1)))
            if what == "move":
                after.insert(draw(st.integers(0, len(after))), key)
    hidden = st.sampled_from((st.just(False), st.booleans(), st.just(True)))
    return headed(draw, ids, draw(hidden)), headed(draw, after, draw(hidden))


def agree(have, want):
    if have is None or want is None:
        return not is_heading(have) and not is_heading(want)
    return have == want and is_heading(have) == is_heading(want)


@given(changes())
def test_the_steps_lead_to_the_other_list(change):
    old, new = change
    now = list(old)
    for step in steps(old, new):
        apply(step, now)
        known = [key for key in now if key is not None]
        assert len(known) == len(set(known))  # no conversation ever stands twice
    assert len(now) == len(new)
    assert all(map(agree, now, new))
    if None not in old and None not in new:
        assert now == new


def test_a_row_that_goes_to_the_top_is_one_move():
    ids = [f"i{n}" for n in range(1000)]
    old = [Section.TODAY, *ids[:5], Section.OLDER, *ids[5:]]
    new = [Section.TODAY, ids[700], *ids[:5], Section.OLDER, *ids[5:700], *ids[701:]]
    assert steps(old, new) == [Move(702, 1)]
    # It was seen at the top, and what is below is not read.
    seen = [Section.TODAY, ids[700], *ids[:5], Section.OLDER, *[None] * 994]
    assert steps(old, seen) == [Move(702, 1)]


def test_what_goes_and_what_comes_takes_one_step_each():
    ids = [f"i{n}" for n in range(10)]
    assert steps([Section.TODAY, *ids], [Section.TODAY, *ids[:4], *ids[6:]]) == [Remove(5, 2)]
    assert steps([Section.TODAY, *ids[1:]], [Section.TODAY, *ids]) == [Insert(1, ("i0",))]
    assert steps([], [Section.TODAY, "a"]) == [Insert(0, (Section.TODAY, "a"))]


def test_a_list_that_is_quite_another_is_not_changed_step_by_step():
    ids = [f"i{n}" for n in range(10 * LIMIT)]
    assert steps(ids, list(reversed(ids))) is None
