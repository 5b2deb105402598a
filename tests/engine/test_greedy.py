"""Greedy answers are those of transformers' generate(), on every architecture."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from qwen_desktop.chat.events import FinishReason
from qwen_desktop.engine.decode import End, Token
from qwen_desktop.engine.prompt import build_prompt
from qwen_desktop.engine.sampling import Sampler, Sampling
from tests.engine.helpers import (
    NEVER,
    ask,
    chat,
    request,
    runner_of,
    steps_of,
    text_of,
    tokenizer_of,
)

NEW = 16

VARIANTS = [
    ("qwen2", {}),
    ("qwen2", {"tie_word_embeddings": True, "dtype": torch.bfloat16}),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 24, "max_window_layers": 1}),
    ("qwen2_moe", {}),
    ("qwen3", {"shards": True}),
    ("qwen3", {"dtype": torch.float16}),
    ("qwen3_moe", {"shards": True}),
    ("qwen3_5_text", {}),
]


@pytest.fixture(params=VARIANTS, ids=str)
def folder(request, made):
    family, options = request.param
    return made(family, **options)


def test_greedy_ids_equal_generate(folder):
    tokenizer, runner = tokenizer_of(folder), runner_of(folder)
    prompt = build_prompt(tokenizer, chat("What is in the window?"), "", thinking=False)
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    expected = reference.generate(torch.tensor([prompt.ids]), max_new_tokens=NEW, do_sample=False)[
        0, len(prompt.ids) :
    ].tolist()

    capabilities = runner.capabilities
    greedy = Sampler(Sampling(0.0), prompt.ids, capabilities.device)
    steps = steps_of(runner, prompt, greedy, end_ids=tokenizer.end_ids, max_new_tokens=NEW)

    ids = [step.id for step in steps if isinstance(step, Token)]
    if steps[-1] == End(FinishReason.STOP):
        assert expected[-1] in tokenizer.end_ids
        del expected[-1]
    assert ids == expected


def test_the_engine_gives_the_text_of_these_ids(opened, made):
    engine, folder = opened("qwen3"), made("qwen3")
    asked = request("What is in the window?", max_new_tokens=NEW)
    tokenizer = tokenizer_of(folder)
    prompt = build_prompt(tokenizer, asked.messages, "", thinking=False)
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    output = reference.generate(torch.tensor([prompt.ids]), max_new_tokens=NEW, do_sample=False)
    answer = tokenizer.decode(output[0, len(prompt.ids) :].tolist())
    # think markers are a part of the text for a tokenizer, not for us
    assert text_of(ask(engine, asked)) == answer.replace("<think>", "").replace("</think>", "")


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "qwen3_moe", "qwen3_5_text"])
@pytest.mark.parametrize("chunk", [3, 16])
def test_chunked_prefill_equals_one_forward(made, family, chunk):
    runner = runner_of(made(family))
    ids = list(range(40, 80))
    told: list[int] = []
    whole = runner.prefill(
        runner.new_cache(), ids, chunk=1000, on_progress=told.append, cancel=NEVER
    )
    assert told == [len(ids)]
    told.clear()
    cache = runner.new_cache()
    pieces = runner.prefill(cache, ids, chunk=chunk, on_progress=told.append, cancel=NEVER)
    torch.testing.assert_close(pieces, whole, atol=2e-3, rtol=1e-3)
    assert cache.length == len(ids)
    assert told == [*range(chunk, len(ids), chunk), len(ids)]
