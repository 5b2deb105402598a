"""Messages: how pieces of an answer grow into parts."""

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.events import FinishReason
from qwen_desktop.chat.messages import (
    AnswerStats,
    Message,
    Part,
    PartKind,
    Role,
    Status,
    pending_answer,
    user_message,
)

PIECES = st.lists(st.tuples(st.sampled_from(PartKind), st.text(max_size=8)), max_size=30)


def grown(pieces):
    message = Message(role=Role.ASSISTANT, parts=())
    for kind, text in pieces:
        message = message.appended(kind, text)
    return message


@given(PIECES)
def test_appending_keeps_every_character_in_its_kind(pieces):
    message = grown(pieces)
    for kind in PartKind:
        assert message.text_of(kind) == "".join(text for k, text in pieces if k is kind)
    assert message.text == message.text_of(PartKind.TEXT)
    assert message.reasoning == message.text_of(PartKind.REASONING)


@given(PIECES)
def test_neighbouring_parts_differ_in_kind_and_none_is_empty(pieces):
    parts = grown(pieces).parts
    assert all(part.text for part in parts)
    assert all(a.kind is not b.kind for a, b in pairwise(parts))


@given(PIECES, st.sampled_from(PartKind), st.text(max_size=8))
def test_appending_leaves_the_old_message_as_it_was(pieces, kind, text):
    before = grown(pieces)
    parts = before.parts
    after = before.appended(kind, text)
    assert before.parts == parts
    assert dataclasses.replace(after, parts=parts) == before


def test_nothing_appended_is_the_same_message():
    message = grown([(PartKind.TEXT, "a")])
    assert message.appended(PartKind.REASONING, "") is message


def test_a_user_message_is_complete_and_an_answer_is_pending():
    question = user_message("What now?", None)
    answer = pending_answer(question.id, "Qwen3-4B")
    assert (question.role, question.text, question.status) == (
        Role.USER,
        "What now?",
        Status.COMPLETE,
    )
    assert (answer.role, answer.parts, answer.status) == (Role.ASSISTANT, (), Status.STREAMING)
    assert answer.parent_id == question.id
    assert answer.stats == AnswerStats(model="Qwen3-4B")
    assert question.id != answer.id


def test_messages_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        user_message("a", None).parts = (Part(PartKind.TEXT, "b"),)  # type: ignore[misc]


def test_prefill_speed_leaves_out_what_was_reused():
    stats = AnswerStats(prompt_tokens=120, reused_tokens=20, prefill_seconds=4.0)
    assert stats.prefill_speed == 25.0
    assert AnswerStats(prompt_tokens=120).prefill_speed == 0.0


def test_decode_speed_leaves_out_the_first_token():
    assert AnswerStats(answer_tokens=3, reasoning_tokens=8, decode_seconds=2.0).decode_speed == 5.0
    assert AnswerStats(answer_tokens=1, decode_seconds=2.0).decode_speed == 0.0
    assert AnswerStats(answer_tokens=9).decode_speed == 0.0


@pytest.mark.parametrize("reason", FinishReason)
def test_every_ordinary_ending_has_a_status_that_is_neither_running_nor_failed(reason):
    assert reason.status not in {Status.STREAMING, Status.INTERRUPTED, Status.FAILED}
