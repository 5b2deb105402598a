"""Keys of one NTK alpha are never used under another, however conversations meet."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.engine.runner import CacheFileError
from qwen_desktop.engine.session import Session
from tests.engine.helpers import NEVER
from tests.engine.test_session import answer

LENGTH = 64  # of training
lengths = st.sampled_from([1, 40, 63, 64, 65, 100, 128, 129, 180])


@pytest.fixture(scope="module")
def ntk(runner):
    return runner("s-gptq1-int8")  # a small vocabulary, and quick


def tokens(count: int, seed: int = 0) -> list[int]:
    return [(7 * i + 13 * seed + i * i) % 2000 for i in range(count)]


def fresh(runner, prompt: list[int], new: int = 0) -> torch.Tensor:
    """The logits after `prompt` and `new` tokens more, from the beginning and in one piece."""
    cache = runner.new_cache(runner.rope_scale(len(prompt)))
    logits = runner.prefill(cache, prompt, chunk=1000, on_progress=lambda _: None, cancel=NEVER)
    for token in range(50, 50 + new):
        logits = runner.decode(cache, token, cancel=NEVER)
    return logits.clone()


def same(left: torch.Tensor, right: torch.Tensor) -> None:
    torch.testing.assert_close(left, right, atol=1e-3, rtol=0)


@settings(max_examples=15)
@given(counts=st.lists(lengths, min_size=2, max_size=5), new=st.integers(0, 3))
def test_a_session_reads_anew_exactly_where_alpha_changes(ntk, counts, new):
    session = Session("c", ntk)
    for count in counts:
        prompt = tokens(count)
        shared = min(len(session.ids), count - 1)
        before = session.cache.rope_scale
        kept = session.rewind(prompt)
        assert kept == (shared if before == ntk.rope_scale(count) else 0)
        same(answer(session, prompt, 0, new), fresh(ntk, prompt, new))
        assert session.cache.rope_scale == ntk.rope_scale(count)
        del session.ids[count:]
        session.cache.crop(count)


def test_reuse_within_one_alpha(ntk):
    """Turns of a conversation: nothing is read twice until the prompt outgrows a limit."""
    session = Session("c", ntk)
    kept = []
    for count in (20, 50, 64, 70, 100, 128, 129, 200):
        kept.append(session.rewind(tokens(count)))
        same(answer(session, tokens(count), 0, 0), fresh(ntk, tokens(count)))
    assert kept == [0, 20, 50, 0, 70, 100, 0, 129]


@settings(max_examples=15)
@given(
    counts=st.lists(lengths, min_size=2, max_size=4, unique=True),
    order=st.lists(st.integers(0, 3), min_size=4, max_size=16),
)
def test_conversations_of_several_alphas_take_turns(ntk, counts, order):
    """Each token of each answer is what it would be if the others were not there."""
    prompts = [tokens(count, seed) for seed, count in enumerate(counts)]
    caches = [ntk.new_cache(ntk.rope_scale(len(prompt))) for prompt in prompts]
    logits = [
        ntk.prefill(cache, prompt, chunk=50, on_progress=lambda _: None, cancel=NEVER).clone()
        for cache, prompt in zip(caches, prompts, strict=True)
    ]
    fed = [0] * len(prompts)
    for index in (i % len(prompts) for i in order):
        logits[index] = ntk.decode(caches[index], 50 + fed[index], cancel=NEVER).clone()
        fed[index] += 1
    for prompt, last, new in zip(prompts, logits, fed, strict=True):
        same(last, fresh(ntk, prompt, new))


def test_alpha_stays_while_the_answer_grows(ntk):
    """It is the prompt's: crossing the length of training in the answer changes nothing."""
    session = Session("c", ntk)
    answer(session, tokens(60), 0, 10)
    assert len(session.ids) > LENGTH
    assert session.cache.rope_scale == 1.0


def test_a_saved_cache_is_of_one_alpha(ntk, tmp_path):
    file = tmp_path / "kv.safetensors"
    prompt = tokens(100)
    cache = ntk.new_cache(ntk.rope_scale(len(prompt)))
    ntk.prefill(cache, prompt, chunk=64, on_progress=lambda _: None, cancel=NEVER)
    cache.save(file)
    other = ntk.new_cache(1.0)
    with pytest.raises(CacheFileError):
        other.load(file)
    assert other.length == 0
    again = ntk.new_cache(cache.rope_scale)
    again.load(file)
    same(ntk.decode(again, 50, cancel=NEVER).clone(), ntk.decode(cache, 50, cancel=NEVER).clone())


def test_other_families_know_no_alpha(runner):
    assert {runner("s-gptq2-int4").rope_scale(n) for n in (1, 100, 100_000)} == {1.0}
    assert {runner("s-logn").rope_scale(n) for n in (1, 100, 500)} == {1.0}
