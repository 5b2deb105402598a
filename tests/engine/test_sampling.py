"""The sampler chooses like transformers' processors, with a seed of its own."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from qwen_desktop.chat.settings import BY_NAME, GenerationSettings
from qwen_desktop.engine.sampling import Sampler, Sampling, distribution, settle

CPU = torch.device("cpu")


def logits_of(size: int, seed: int, spread: float = 3.0) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)) * spread


def reference(scores: torch.Tensor, sampling: Sampling, prompt: list[int]) -> torch.Tensor:
    """Probabilities by transformers' processors in the order of generate()."""
    steps = LogitsProcessorList()
    if sampling.repetition_penalty != 1.0:
        steps.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    steps.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        steps.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1.0:
        steps.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p > 0.0:
        steps.append(MinPLogitsWarper(sampling.min_p))
    return torch.softmax(steps(torch.tensor([prompt]), scores[None].clone()), -1)[0]


def dense(scores: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    ids, probabilities = distribution(scores, sampling)
    row = torch.zeros(len(scores))
    row[slice(None) if ids is None else ids] = probabilities
    return row / row.sum()


GRID = list(itertools.product([0.3, 1.0, 1.7], [0, 1, 20], [0.0, 0.8, 1.0], [0.0, 0.1]))


@pytest.mark.parametrize("size", [60, 5000])
@pytest.mark.parametrize(("temperature", "top_k", "top_p", "min_p"), GRID)
def test_candidates_and_probabilities_are_those_of_transformers(
    size, temperature, top_k, top_p, min_p
):
    sampling = Sampling(temperature, top_k, top_p, min_p)
    # spread 0.1: nearly level, so that a short list is never enough
    for seed, spread in ((0, 3.0), (1, 0.1)):
        scores = logits_of(size, seed, spread)
        expected = reference(scores, sampling, [0])
        found = dense(scores, sampling)
        assert torch.equal(found > 0, expected > 0)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-3)


def test_tokens_as_likely_as_the_last_of_top_k_stay():
    scores = torch.tensor([1.0, 3.0, 1.0, 1.0, 0.0])
    sampling = Sampling(1.0, top_k=2)
    assert torch.equal(dense(scores, sampling) > 0, reference(scores, sampling, [4]) > 0)


@given(seed=st.integers(0, 2**16), penalty=st.sampled_from([0.7, 1.1, 2.0]))
def test_repetition_penalty_covers_prompt_and_answer(seed, penalty):
    scores, prompt = logits_of(30, seed), [3, 3, 7]
    sampler = Sampler(Sampling(0.0, repetition_penalty=penalty), prompt, 30, CPU)
    for _ in range(5):
        expected = reference(scores, Sampling(1.0, repetition_penalty=penalty), prompt)
        token = sampler(scores)
        assert token == int(expected.argmax())
        prompt.append(token)


def test_presence_penalty_covers_the_answer_only():
    scores = torch.tensor([2.0, 1.9, 1.0])
    sampler = Sampler(Sampling(0.0, presence_penalty=0.5), [0, 0, 0], 3, CPU)
    assert [sampler(scores) for _ in range(4)] == [0, 1, 0, 0]
    assert scores.tolist() == [2.0, pytest.approx(1.9), 1.0]  # the runner's buffer is untouched


def test_what_is_drawn_follows_the_probabilities():
    scores, sampling = logits_of(40, 5, 1.0), Sampling(0.9, top_k=8, top_p=0.9, seed=1)
    sampler, draws = Sampler(sampling, [], 40, CPU), 4000
    counts = torch.bincount(torch.tensor([sampler(scores) for _ in range(draws)]), minlength=40)
    expected = reference(scores, sampling, [0])
    assert 0.5 * float((counts / draws - expected).abs().sum()) < 0.03


def test_what_is_told_counts_as_what_was_drawn():
    scores = torch.tensor([2.0, 1.9, 1.0])
    sampler = Sampler(Sampling(0.0, presence_penalty=0.5), [], 3, CPU)
    sampler.tell(0)
    assert sampler(scores) == 1


def test_a_continued_answer_keeps_its_penalties():
    """The last of the prompt are the beginning of the answer; what is before them is not."""
    scores = torch.tensor([2.0, 1.9, 1.0])
    sampling = Sampling(0.0, presence_penalty=0.5)
    assert Sampler(sampling, [1, 0], 3, CPU, given=1)(scores) == 1
    assert Sampler(sampling, [0, 1], 3, CPU, given=1)(scores) == 0
    assert Sampler(sampling, [0, 1], 3, CPU, given=0)(scores) == 0


def test_a_seed_repeats_and_ignores_the_global_generator():
    scores = logits_of(200, 2, 0.5)

    def drawn(seed: int) -> list[int]:
        torch.manual_seed(len(scores))
        sampler = Sampler(Sampling(1.0, seed=seed), [], 200, CPU)
        return [sampler(scores) for _ in range(20)]

    state = torch.get_rng_state()
    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
    torch.set_rng_state(state)


def test_where_no_seed_is_set_one_is_drawn():
    drawn = {settle(GenerationSettings(), {}).seed for _ in range(20)}
    assert len(drawn) > 15
    assert all(BY_NAME["seed"].accepts(seed) for seed in drawn)
    assert settle(GenerationSettings(seed=3), {}).seed == 3


@pytest.mark.parametrize(
    ("recommended", "settings", "expected"),
    [
        ({}, {}, Sampling(0.7, 20, 0.8)),
        ({"do_sample": False}, {}, Sampling(0.0, 20, 0.8)),
        ({"do_sample": False}, {"temperature": 0.5}, Sampling(0.5, 20, 0.8)),
        ({"do_sample": True, "temperature": 0.6, "top_p": 0.95}, {}, Sampling(0.6, 50, 0.95)),
        ({"temperature": 0.6, "top_k": 20}, {"temperature": 0.0}, Sampling(0.0, 20, 1.0)),
        ({"temperature": 0.6, "top_k": 20}, {"top_k": 0}, Sampling(0.6, 0, 1.0)),
        (
            {"repetition_penalty": 1.05, "min_p": 0.02},
            {"presence_penalty": 1.0, "seed": 3},
            Sampling(0.7, 20, 0.8, 0.02, 1.05, 1.0, 3),
        ),
        ({"presence_penalty": 1.5}, {}, Sampling(0.7, 20, 0.8, presence_penalty=1.5)),
        ({"presence_penalty": 1.5}, {"presence_penalty": 0.0}, Sampling(0.7, 20, 0.8)),
        (
            {"temperature": "hot", "top_k": -1, "top_p": 7, "repetition_penalty": None},
            {},
            Sampling(1.0, 50, 1.0),
        ),
        ({"temperature": True, "top_p": float("nan")}, {}, Sampling(1.0, 50, 1.0)),
    ],
)
def test_the_user_wins_then_the_checkpoint_then_qwen(recommended, settings, expected):
    found = settle(GenerationSettings(**settings), recommended)
    assert replace(found, seed=expected.seed) == expected
