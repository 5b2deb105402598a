"""An answer of the first Qwen anew from one of its tokens on."""

from __future__ import annotations

import dataclasses

import pytest

from qwen_desktop.chat.forking import Fork
from qwen_desktop.engine.engine import Engine
from tests.engine.helpers import ask, load, request, usage_of
from tests.engine.test_fork import answer_of


@pytest.mark.parametrize("name", ["s-plain", "s-ntk-logn"])
def test_greedy_from_a_token_it_is_the_same_answer(first, name):
    engine = Engine()
    load(engine, first(name))
    asked = request("你好", "Hello.", "What is in the window?", temperature=0.0, max_new_tokens=16)
    made = ask(engine, asked)
    answer = answer_of(made)
    at = len(answer.token_ids) // 2
    again = ask(engine, dataclasses.replace(asked, fork=Fork(answer, at)))
    assert answer_of(again).token_ids == answer.token_ids
    assert answer_of(again).parts == answer.parts
    assert usage_of(again).stats.reused_tokens >= usage_of(made).stats.prompt_tokens + at - 1
    found = engine.turn_tokens(answer, ())
    assert found is not None
    assert found.answer is not None
    assert found.answer.ids == answer.token_ids
