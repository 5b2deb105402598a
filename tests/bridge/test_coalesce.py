"""Folding events: nothing lost, nothing reordered, and the last event at once."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.bridge.coalesce import LONGEST_MS, StreamBuffer, fold
from qwen_desktop.chat.events import Delta, Finished, FinishReason, Progress, Stage
from qwen_desktop.chat.messages import PartKind

ids = st.lists(st.integers(0, 99), max_size=3).map(tuple)
deltas = st.builds(Delta, st.sampled_from(PartKind), st.text(max_size=5), ids)
progress = st.builds(Progress, st.just(Stage.PREFILL), st.integers(0, 9), st.just(9))


def texts(events):
    joined = []
    for event in events:
        if isinstance(event, Delta):
            if joined and joined[-1][0] is event.kind:
                joined[-1] = (event.kind, joined[-1][1] + event.text)
            else:
                joined.append((event.kind, event.text))
        else:
            joined.append((None, ""))  # a boundary
    return [pair for pair in joined if pair[0] is not None and pair[1]]


def by_kind(events):
    return {
        kind: "".join(e.text for e in events if isinstance(e, Delta) and e.kind is kind)
        for kind in PartKind
    }


@given(st.lists(st.one_of(deltas, progress)))
def test_folding_keeps_every_character_and_token_in_order(events):
    folded = fold(events)

    assert by_kind(folded) == by_kind(events)
    assert texts(folded) == texts(events)
    told = [i for e in events if isinstance(e, Delta) for i in e.ids]
    assert [i for e in folded if isinstance(e, Delta) for i in e.ids] == told


@given(st.lists(st.one_of(deltas, progress)))
def test_no_two_neighbours_could_have_been_joined(events):
    folded = fold(events)

    for left, right in zip(folded, folded[1:]):
        same_kind = isinstance(left, Delta) and isinstance(right, Delta) and left.kind is right.kind
        same_type = isinstance(left, Progress) and isinstance(right, Progress)
        assert not same_kind
        assert not same_type


def test_many_events_become_one_flush(qtbot):
    buffer = StreamBuffer()
    flushes = []
    buffer.flushed.connect(flushes.append)

    with qtbot.waitSignal(buffer.flushed):
        for _ in range(100):
            buffer.push(Delta(PartKind.TEXT, "x", (1,)))

    assert flushes == [[Delta(PartKind.TEXT, "x" * 100, (1,) * 100)]]


def test_the_end_is_handed_out_at_once_with_what_came_before(qtbot):
    buffer = StreamBuffer()
    flushes = []
    buffer.flushed.connect(flushes.append)

    buffer.push(Delta(PartKind.TEXT, "last word"))
    buffer.push(Finished(FinishReason.STOP))

    assert flushes == [[Delta(PartKind.TEXT, "last word"), Finished(FinishReason.STOP)]]


def test_cleared_events_are_never_seen(qtbot):
    buffer = StreamBuffer()
    flushes = []
    buffer.flushed.connect(flushes.append)
    buffer.push(Delta(PartKind.TEXT, "gone"))

    buffer.clear()
    buffer.push(Delta(PartKind.TEXT, "new"))
    buffer.flush()

    assert flushes == [[Delta(PartKind.TEXT, "new")]]


def test_a_slow_window_does_not_keep_text_from_the_journal_for_long(qtbot):
    buffer = StreamBuffer()
    flushes = []

    def slow(events):
        flushes.append(events)
        end = time.perf_counter() + 0.4
        while time.perf_counter() < end:  # a window that takes long to show it
            pass

    buffer.flushed.connect(slow)
    buffer.push(Delta(PartKind.TEXT, "a"))
    buffer.flush()

    assert buffer.delay_ms == LONGEST_MS
