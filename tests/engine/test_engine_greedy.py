"""Greedy answers are those of transformers' generate(), on every architecture."""

from __future__ import annotations

import threading

import pytest
import torch
from tests.engine.checkpoints import THINKING
from tests.engine.conftest import ask, load, reason_of, request
from transformers import AutoModelForCausalLM, AutoTokenizer

from qwen_desktop.chat.events import FinishReason, Usage
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.transformers_runner import TransformersRunner


def ids_of_answer(engine: Engine) -> list[int]:
    """All ids the session of `engine` holds."""
    return list(engine._session.ids)


def generated(folder, messages, new: int, **options) -> list[int]:
    """Prompt and answer of generate() on the same folder."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options).eval()
    rows = [{"role": m.role.value, "content": m.text} for m in messages]
    prompt = tokenizer.apply_chat_template(
        rows, add_generation_prompt=True, enable_thinking=False, return_tensors="pt"
    )
    output = model.generate(**prompt, max_new_tokens=new, do_sample=False)
    return output[0].tolist()


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("qwen2", {}),
        ("qwen2", {"tie_word_embeddings": True, "dtype": torch.bfloat16}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 24, "max_window_layers": 1}),
        ("qwen2_moe", {}),
        ("qwen3", {"shards": True}),
        ("qwen3", {"dtype": torch.float16}),
        ("qwen3_moe", {"shards": True}),
        ("qwen3_5_text", {}),
    ],
)
def test_greedy_ids_equal_generate(made, family, options):
    folder = made(family, **options)
    engine = Engine()
    load(engine, folder)
    asked = request("What is in the window?", max_new_tokens=24)
    events = ask(engine, asked)
    expected = generated(folder, asked.messages, 24)
    ended = reason_of(events) is FinishReason.STOP
    # generate() keeps the id that ends the answer; at the limit we do not feed the last token.
    assert ids_of_answer(engine) == expected[: len(ids_of_answer(engine))]
    assert len(expected) - len(ids_of_answer(engine)) == 1
    usage = [e for e in events if isinstance(e, Usage)][-1]
    assert usage.stats.new_tokens == 24 - (1 if ended else 0) or ended


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "qwen3_moe", "qwen3_5_text"])
@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_chunked_prefill_equals_one_forward(opened, family, chunk):
    runner: TransformersRunner = opened(family)._loaded.runner
    ids = list(range(40, 90))
    told: list[int] = []
    never = threading.Event()
    whole = runner.prefill(
        runner.new_cache(), ids, chunk=1000, on_progress=told.append, cancel=never
    )
    assert told == [len(ids)]
    cache = runner.new_cache()
    pieces = runner.prefill(cache, ids, chunk=chunk, on_progress=told.append, cancel=never)
    torch.testing.assert_close(pieces, whole, atol=1e-4, rtol=1e-4)
    assert cache.length == len(ids)
    assert told[-1] == len(ids)


def test_a_template_with_thinking_off_matches_too(made):
    assert "enable_thinking" in THINKING
