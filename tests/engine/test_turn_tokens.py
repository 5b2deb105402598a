"""The tokens of a turn with their texts, and whether the open tokenizer is the one they are of."""

from __future__ import annotations

import dataclasses

import pytest

from qwen_desktop.chat.messages import Message, Part, PartKind, Role, TokenScore
from qwen_desktop.chat.turn_tokens import TurnTokens, by_scores, stretches
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.turn_tokens import turn_tokens
from tests.engine.checkpoints import PLAIN, THINKING, THINKING_OPEN
from tests.engine.helpers import ask, request, tokenizer_of
from tests.engine.test_fork import answer_of

TEXT, REASONING = PartKind.TEXT, PartKind.REASONING


@pytest.fixture(scope="module")
def tokenizer(made):
    return tokenizer_of(made("qwen3", template=THINKING))


def said(tokenizer, reasoning: str, text: str, more: str = "", *, opened: bool = False) -> Message:
    ids = [] if opened else [tokenizer.think_open]
    ids += [*tokenizer.encode(f"\n{reasoning}\n"), tokenizer.think_close]
    ids += tokenizer.encode(f"\n\n{text}{more}")
    parts = (Part(REASONING, reasoning), Part(TEXT, text))
    return Message(Role.ASSISTANT, parts, token_ids=tuple(ids))


@pytest.mark.parametrize("opened", [False, True])
def test_reasoning_and_answer_are_told_apart(tokenizer, opened):
    answer = said(tokenizer, "why 字", "so", opened=opened)
    found = turn_tokens(tokenizer, [258], answer, (1, 2))
    close = answer.token_ids.index(tokenizer.think_close)
    assert found.reasoning == ((0, close + 1),)
    assert found.answer.text(close + 1) == "\n\nso"
    assert found.answer.text(0, close + 1).endswith("why 字\n</think>")
    assert found.answer.is_control(close)
    assert found.prompt.ids == (1, 2)
    assert len(found.kinds) == len(answer.token_ids)
    assert [name for _, name in found.ends] == [tokenizer.piece(258).decode("utf-8", "replace")]


def test_a_stop_string_is_what_is_spelled_beyond_the_answer(tokenizer):
    found = turn_tokens(tokenizer, [], said(tokenizer, "why", "so", "END"), ())
    assert found.beyond == "END"
    assert found.prompt is None


def test_another_tokenizer_shows_in_what_it_spells(tokenizer):
    answer = said(tokenizer, "why", "so")
    other = dataclasses.replace(answer, parts=(Part(TEXT, "other words"),))
    assert turn_tokens(tokenizer, [3], other, (1,)).answer is None
    assert turn_tokens(tokenizer, [3], other, (1,)).prompt is None


@pytest.mark.parametrize("template", [PLAIN, THINKING, THINKING_OPEN, None])
def test_what_an_engine_wrote_is_spelled(opened, template):
    engine = opened("qwen3", template=template)
    answer = answer_of(ask(engine, request("hello", thinking=True, max_new_tokens=20)))
    found = engine.turn_tokens(answer, (65, 66))
    assert found.answer.ids == answer.token_ids
    assert found.ends
    assert Engine().turn_tokens(answer, ()) is None


def test_an_answer_without_tokens_is_known_by_the_mark_of_its_tokenizer(opened):
    engine = opened("qwen3", template=PLAIN)
    answer = answer_of(ask(engine, request("hello", max_new_tokens=4)))
    empty = dataclasses.replace(answer, parts=(), token_ids=())
    assert engine.turn_tokens(empty, (65, 66)).prompt.ids == (65, 66)
    other = dataclasses.replace(answer.provenance, tokenizer="of another")
    for origin in (other, None):
        found = engine.turn_tokens(dataclasses.replace(empty, provenance=origin), (65, 66))
        assert found.prompt is None
        assert found.ends


def test_stretches_and_what_scores_alone_tell():
    kinds = (TEXT, REASONING, REASONING, TEXT, REASONING)
    assert stretches(kinds, REASONING) == ((1, 3), (4, 5))
    assert TurnTokens(kinds=kinds).reasoning == ((1, 3), (4, 5))
    tokens = by_scores((5, 6), (TokenScore(5, " the", -0.1), None))
    assert [cell.text for cell in tokens.cells] == [" the", "[6]"]
