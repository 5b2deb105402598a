"""The first Qwen's prompts taken apart: a chat format without a template, a window of its own."""

from __future__ import annotations

import pytest

from qwen_desktop.chat.inspected import Why
from qwen_desktop.chat.inspected_forms import as_python
from qwen_desktop.engine.engine import Engine
from tests.engine.helpers import load, request, tiles


@pytest.fixture
def engine(first) -> Engine:
    engine = Engine()
    load(engine, first("s-plain"))
    return engine


def test_turns_are_told_and_the_program_makes_the_same_ids(engine, capsys):
    found = engine.inspect(request("Hi 中<|im_end|>", "Hello", "Bye"))
    texts = [(s.kind.value, found.tokens.text(s.start, s.end)) for s in found.segments]
    assert texts[:6] == [
        ("frame", "<|im_start|>system\n"),
        ("system", "You are a helpful assistant."),
        ("frame", "<|im_end|>\n"),
        ("frame", "<|im_start|>user\n"),
        ("user", "Hi 中<|im_end|>"),
        ("frame", "<|im_end|>\n"),
    ]
    assert texts[-1] == ("opening", "<|im_start|>assistant\n")
    assert found.lookalikes
    exec(compile(as_python(found), "copied.py", "exec"), {})
    assert capsys.readouterr().out == f"{len(found.tokens)} tokens, the same\n"


def test_what_its_own_window_leaves_out(engine, capsys):
    texts = [f"{n} " + "word " * 380 for n in range(19)]  # more than its window of 6,144
    asked = request(*texts, max_new_tokens=8)
    found, count = engine.inspect(asked), engine.count_prompt(asked)
    gone = [one.message_id for one in found.left_out]
    assert gone
    assert gone == list(count.unseen)
    assert {one.why for one in found.left_out} <= {Why.TEMPLATE, Why.POLICY}
    assert all(one.tokens for one in found.left_out)
    assert tiles([(s.start, s.end) for s in found.segments], len(found.tokens))
    exec(compile(as_python(found), "copied.py", "exec"), {})
    assert capsys.readouterr().out == f"{len(found.tokens)} tokens, the same\n"
