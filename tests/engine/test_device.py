"""How much of a card torch may take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.engine.device import CARD_MARGIN, memory_fraction
from qwen_desktop.engine.placement import CARD_RUNTIME

GIB = 2**30
sizes = st.integers(0, 2**40)


def test_what_is_free_and_what_is_held_but_for_a_margin():
    total = 24 * GIB
    fresh = memory_fraction(23 * GIB, 0, total)
    assert fresh * total == 23 * GIB - CARD_MARGIN
    assert memory_fraction(8 * GIB, 15 * GIB, total) == fresh  # a model in it changes nothing
    assert memory_fraction(0, 0, total) == 0.0
    assert memory_fraction(0, 0, 0) == 0.0


@given(sizes, sizes, st.integers(1, 2**40))
def test_it_is_a_share_of_the_card(free, held, total):
    assert 0.0 <= memory_fraction(free, held, total) <= 1.0


@given(st.integers(2 * GIB, 2**40), st.integers(0, GIB))
def test_what_was_planned_to_fit_is_allowed(total, others):
    free = total - others
    planned = free - CARD_RUNTIME  # what is left for weights, cache and activations
    assert planned <= memory_fraction(free, 0, total) * total + 1
