"""The alarm of memory that others took: only beyond the reserve, once, until there is room."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.bridge.taken import TakenWatch
from qwen_desktop.chat.events import Alarm, AlarmKind
from qwen_desktop.chat.ledger import Ledger, MemoryKind, MemorySample

PLANNED = Ledger(
    MemoryKind.CUDA,
    "cuda:0",
    "A card",
    total=1000,
    free=500,
    weights=300,
    other=200,
    kv_to_come=300,
    working=80,
    reserve=100,
)


def sample(taken: int, *, window: int = 4096, **changes: int) -> MemorySample:
    """The same card with `taken` bytes more in the hands of others."""
    ledger = replace(PLANNED, free=PLANNED.free - taken, other=PLANNED.other + taken, **changes)
    return MemorySample((ledger,), window)


@pytest.fixture
def watch() -> TakenWatch:
    made = TakenWatch()
    assert made.take(sample(0)) is None
    return made


def test_the_reserve_may_be_taken(watch):
    assert watch.take(sample(120)) is None


def test_it_is_said_once_with_numbers_and_ends_with_room(watch):
    alarm = watch.take(sample(200))
    assert alarm == Alarm(
        AlarmKind.MEMORY_TAKEN,
        values=(("device", "A card"), ("taken", "200"), ("lacking", "80"), ("tokens", "4096")),
    )
    assert watch.take(sample(300)) is None
    assert watch.take(sample(100)) is None  # enough, but for the reserve
    assert watch.take(sample(20)) == Alarm(AlarmKind.MEMORY_TAKEN, on=False)
    assert watch.take(sample(20)) is None


def test_what_this_program_takes_itself_is_no_alarm(watch):
    ledger = replace(PLANNED, free=100, weights=700)
    assert watch.take(MemorySample((ledger,), 4096)) is None


def test_another_plan_is_measured_anew(watch):
    assert watch.take(sample(200, window=2048)) is None  # made with what was free then


def test_without_a_model_there_is_nothing_to_count_on():
    watch = TakenWatch()
    for taken in (0, 400):
        assert watch.take(sample(taken, window=0)) is None


def test_with_another_model_it_starts_over(watch):
    watch.take(sample(200))
    watch.start_over()
    assert watch.take(sample(300)) is None


@given(st.lists(st.integers(0, 500), max_size=30))
def test_beginnings_and_ends_take_turns(steps):
    watch = TakenWatch()
    watch.take(sample(0))
    told = [alarm.on for taken in steps if (alarm := watch.take(sample(taken))) is not None]
    assert told == [number % 2 == 0 for number in range(len(told))]
