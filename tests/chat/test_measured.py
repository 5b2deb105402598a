"""What a conversation took as it grew, read off its messages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.measured import Measurer, Predicted, measured
from qwen_desktop.chat.messages import (
    AnswerStats,
    Message,
    Part,
    PartKind,
    Provenance,
    Role,
    Status,
    user_message,
)

STATS = AnswerStats(
    model="Qwen3-8B",
    prompt_tokens=100,
    reused_tokens=60,
    answer_tokens=21,
    first_token_seconds=0.5,
    prefill_seconds=0.4,
    decode_seconds=2.0,
)
ORIGIN = Provenance(
    fingerprint="f",
    precision="BF16",
    device="CPU",
    context_limit=4096,
    peak_bytes=1000,
    held_bytes=900,
    others_bytes=100,
    planned_bytes=890,
    used_bytes=5000,
    device_bytes=8000,
)


def answer(text: str, parent: str, thought: str = "", **changes: object) -> Message:
    parts = [Part(PartKind.REASONING, thought)] if thought else []
    made = Message(
        Role.ASSISTANT,
        (*parts, Part(PartKind.TEXT, text)),
        parent_id=parent,
        stats=STATS,
        provenance=ORIGIN,
    )
    return replace(made, **changes)


def talk(*said: tuple[str, str]) -> list[Message]:
    path: list[Message] = []
    for question, reply in said:
        asked = user_message(question, path[-1].id if path else None)
        path += [asked, answer(reply, asked.id)]
    return path


def test_each_answer_is_a_point():
    first, second = measured(talk(("1234", "12"), ("123", "1")))
    assert (first.turn, second.turn) == (1, 2)
    assert first.tokens == 121
    assert (first.characters, second.characters) == (6, 10)
    assert first.first_token_seconds == 0.5
    assert (first.prefill_speed, first.decode_speed) == (100.0, 10.0)
    assert first.new_tokens == 40
    assert first.origin == ("f", "BF16", "model", "CPU")


def test_memory_is_that_of_this_conversation():
    (point,) = measured(talk(("a", "b")))
    assert (point.peak, point.steady, point.planned, point.others) == (900, 800, 890, 100)
    assert (point.used, point.device_bytes) == (5000, 8000)


def test_answers_of_which_nothing_was_kept_are_passed_over_or_bare():
    path = talk(("a", "b"), ("c", "d"), ("e", "f"))
    path[1] = replace(path[1], stats=None)
    path[3] = replace(path[3], provenance=None)
    second, third = measured(path)
    assert (second.turn, second.peak, second.device) == (2, 0, "")
    assert second.origin == ("Qwen3-8B", "", "model", "")
    assert third.turn == 3
    streaming = [*path[:-1], replace(path[-1], status=Status.STREAMING)]
    assert len(measured(streaming)) == 1


def test_reasoning_counts_in_its_own_turn_only():
    path = talk(("abc", "de"))
    path[1] = answer("de", path[0].id, thought="12345")
    path += [asked := user_message("f", path[1].id), answer("g", asked.id)]
    assert [one.characters for one in measured(path)] == [10, 7]


def test_files_are_said_too():
    asked = user_message("ab", None, [Part(PartKind.FILE, "12345", "a.txt")])
    (point,) = measured([asked, answer("c", asked.id)])
    assert point.characters == 8


def test_no_more_tokens_than_the_context_held():
    path = talk(("a", "b"))
    path[1] = replace(path[1], provenance=replace(ORIGIN, context_limit=110))
    assert measured(path)[0].tokens == 110


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 8)), max_size=8))
def test_what_was_left_out_is_not_counted(turns):
    """However what is left out grows, shrinks or begins elsewhere."""
    path: list[Message] = []
    expected = []
    for question, reply, hidden in turns:
        asked = user_message("q" * question, path[-1].id if path else None)
        start = hidden % 2
        unseen = tuple(message.id for message in path[start : start + hidden])
        path += [asked, answer("a" * reply, asked.id)]
        path[-1] = replace(path[-1], provenance=replace(ORIGIN, unseen=unseen))
        expected.append(sum(len(one.text) for one in path if one.id not in unseen))
    assert [one.characters for one in measured(path)] == expected


PREDICTED = Predicted(
    name="Qwen3-8B",
    fingerprint="f",
    precision="BF16",
    kv_format="model",
    device="CPU",
    points=((1, 100, 200), (101, 300, 500), (201, 300, 600)),
    weights=90,
    context_length=4096,
    limit_tokens=201,
    limit_bytes=700,
    device_bytes=8000,
)


@pytest.mark.parametrize(
    ("tokens", "steady", "peak"),
    [
        (0, 100, 200),
        (1, 100, 200),
        (51, 200, 350),
        (101, 300, 500),
        (151, 300, 550),
        (9999, 300, 600),
    ],
)
def test_predictions_between_their_points_lie_on_lines(tokens, steady, peak):
    assert PREDICTED.at(tokens) == (steady, peak)


def test_predictions_are_of_the_same_origin_as_their_answers():
    (point,) = measured(talk(("a", "b")))
    assert point.origin == PREDICTED.origin


@given(st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_a_path_that_grew_is_measured_as_if_anew(count, more, changed):
    measurer = Measurer()
    path = talk(*[("question", "answer")] * (count + more))
    assert measurer.points_of(tuple(path[: 2 * count])) == measured(path[: 2 * count])
    if changed:
        path[0] = replace(path[0], parts=(Part(PartKind.TEXT, "another question"),))
    assert measurer.points_of(tuple(path)) == measured(path)
    assert measurer.points_of(tuple(path[:2])) == measured(path[:2])
