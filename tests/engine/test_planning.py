"""Requests when memory is short: other chats go first, then pieces, then the context."""

from __future__ import annotations

import pytest

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.chat.events import Finished, FinishReason, Started
from qwen_desktop.engine import planning
from qwen_desktop.engine.budget import CPU_RESERVE
from qwen_desktop.errors import Known
from tests.engine.checkpoints import PLAIN
from tests.engine.helpers import ask, reason_of, request, text_of, usage_of
from tests.engine.test_overflow import long_talk

CONTEXT = 512
FAMILY = {"template": PLAIN}


@pytest.fixture
def engine(opened):
    return opened("qwen2", **FAMILY)


@pytest.fixture
def short_of(monkeypatch, engine):
    """Let so many bytes be free beside the reserve, what caches hold taken off."""

    def set_free(nbytes: int) -> None:
        held = engine.memory().kv
        # A quarter of what there is for a conversation is left alone.
        monkeypatch.setattr(
            planning, "free_memory", lambda _: nbytes * 4 // 3 - engine.memory().kv + held
        )

    return set_free


def need_of(engine, tokens: int, chunk: int = 16) -> int:
    """Bytes for `tokens`, read in the smallest pieces, without the reserve."""
    planner = engine._answering._planner
    (costs,) = planner._costs.values()
    return costs.need(tokens, tokens, chunk) - CPU_RESERVE


def test_with_memory_enough_the_model_decides(engine):
    count = engine.count_prompt(request("hello"))
    assert count.limit == CONTEXT


def test_a_context_that_memory_limits_is_met_like_any_other(engine, short_of):
    asked = long_talk(12)
    short_of(need_of(engine, 300))
    count = engine.count_prompt(asked)
    assert 256 <= count.limit <= 300
    assert count.prompt <= count.budget < count.limit
    events = ask(engine, asked)
    usage = usage_of(events)
    assert usage.context_length == count.limit
    assert len(usage.unseen) > len(engine.count_prompt(long_talk(6)).unseen)
    (started,) = [event for event in events if isinstance(event, Started)]
    assert started.provenance.context_limit == count.limit


def test_answers_end_where_memory_does(engine, short_of):
    short_of(need_of(engine, 300))
    limit = engine.count_prompt(request("hello")).limit
    for seed in range(30):
        asked = request(
            "the " * 150, max_new_tokens=400, temperature=2.0, top_k=0, top_p=1.0, seed=seed
        )
        events = ask(engine, asked)
        assert usage_of(events).context_tokens <= limit
        if reason_of(events) is FinishReason.CONTEXT_FULL:
            assert usage_of(events).context_tokens == limit
            break
    else:
        pytest.fail("no answer came to the end")


def test_a_prompt_too_long_for_memory_is_told_with_both_numbers(engine, short_of):
    short_of(need_of(engine, 200))
    long = request("the in " * 100)
    with pytest.raises(Known, match=r"The prompt has \d+ tokens; the memory .* holds \d+"):
        ask(engine, long)
    with pytest.raises(Known, match=r"this model holds 512"):
        ask(engine, request("the in " * 1000))
    assert text_of(ask(engine, request("hello", temperature=0.0)))


def test_other_chats_make_room(engine, short_of):
    question = request("hello", "hi", "the in " * 60, conversation="b", temperature=0.0)
    alone = text_of(ask(engine, question))
    engine.forget("b")
    for name in ("a", "c"):
        ask(engine, request("the in " * 60, conversation=name))
    others = engine.memory().kv
    assert others
    short_of(need_of(engine, CONTEXT) - others // 2)
    assert text_of(ask(engine, question)) == alone
    again = usage_of(ask(engine, request("the in " * 60, conversation="a")))
    assert again.stats.reused_tokens == 0


def test_pieces_get_smaller_before_the_context_does(engine, short_of):
    planner = engine._answering._planner
    assert planner.plan(400, 412, 0, 0).chunk == 256
    short_of(need_of(engine, 412, chunk=64))
    assert 16 <= planner.plan(400, 412, 0, 0).chunk <= 64
    assert planner.plan(400, 412, 0, 0).fits


def test_the_peak_of_an_answer_is_told(engine):
    events = ask(engine, request("hello", max_new_tokens=5))
    (finished,) = [event for event in events if isinstance(event, Finished)]
    memory = engine.memory()
    assert finished.peak_bytes > memory.weights + memory.kv > 0
    assert finished.peak_bytes < memory.weights + memory.kv + 16 * 2**20


@pytest.mark.parametrize(
    ("kv", "advice"), [(KvFormat.MODEL, "8-bit KV cache"), (KvFormat.INT8, "close other programs")]
)
def test_what_would_help_is_said(made, kv, advice):
    from qwen_desktop.engine.engine import Engine
    from tests.engine.helpers import load

    engine = Engine()
    load(engine, made("qwen2", head_dim=32, **FAMILY), kv=kv)
    trouble = engine._answering._planner.no_memory(4096, "the allocator's words")
    assert advice in trouble.report().text()
    assert "4,096 tokens" in trouble.report().text()
    assert trouble.details == "the allocator's words"
