"""The sampler chooses like transformers' processors, with a seed of its own."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
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
from qwen_desktop.engine.likeliest import (
    drawn,
    drawn_from_nucleus,
    exponentials,
    likeliest,
    log_total,
    nucleus,
)
from qwen_desktop.engine.sampling import Sampler, Sampling, distribution, settle
from qwen_desktop.errors import Known

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


@given(
    size=st.sampled_from([70, 5000, 20_000]),
    seed=st.integers(0, 2**16),
    spread=st.sampled_from([0.1, 1.0, 3.0, 12.0]),
    temperature=st.floats(0.2, 2.0),
    top_k=st.sampled_from([0, 1, 20, 64]),
    top_p=st.floats(0.0, 1.0),
    min_p=st.sampled_from([0.0, 0.02, 0.3]),
    penalty=st.sampled_from([1.0, 0.8, 1.3]),
)
@settings(max_examples=60, deadline=None)
def test_the_distribution_is_that_of_transformers(
    size, seed, spread, temperature, top_k, top_p, min_p, penalty
):
    """Within what sums of floats may differ by: a token on the border of top-p may."""
    sampling = Sampling(temperature, top_k, top_p, min_p, penalty)
    logits, prompt = logits_of(size, seed, spread), [seed % size, 3, 3, size - 1]
    scores = Sampler(sampling, prompt, CPU).penalised(logits)
    found, expected = dense(scores, sampling), reference(logits, sampling, prompt)
    assert int((found > 0).sum()) >= 1
    # Of equals on the border the one keeps some and the other others.
    found, expected = found.sort().values, expected.sort().values
    largest = float(expected.max())
    assert float((found - expected).abs().sum()) < 1e-4 + 2 * min(largest, _border(expected))


def _border(expected: torch.Tensor) -> float:
    return float(expected[expected > 0].min())


@given(
    size=st.sampled_from([1, 500, 140_000, 151_936]),
    count=st.sampled_from([1, 20, 52, 300]),
    seed=st.integers(0, 2**16),
    levels=st.sampled_from([0, 7, 1000]),  # of values: few make many equals
)
@settings(max_examples=30, deadline=None)
def test_the_likeliest_are_those_of_topk(size, count, seed, levels):
    scores = logits_of(size, seed)
    scores = (scores * levels / 10).round() if levels else scores
    values, ids = likeliest(scores, min(count, size))
    assert torch.equal(values, torch.topk(scores, min(count, size)).values)
    assert torch.equal(scores[ids], values)
    assert len(set(ids.tolist())) == len(ids)
    torch.testing.assert_close(log_total(scores), torch.logsumexp(scores, 0))


@given(
    seed=st.integers(0, 2**16),
    spread=st.sampled_from([0.0, 0.2, 1.0, 4.0]),
    top_p=st.sampled_from([0.0, 0.5, 0.8, 0.95, 0.999]),
    peak=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_a_nucleus_of_a_whole_vocabulary_is_that_of_sorting(seed, spread, top_p, peak):
    scores = logits_of(100_000, seed, spread)
    if peak:
        scores[seed] = 9.0
    ids, weights = nucleus(scores, top_p)
    row = torch.zeros(len(scores), dtype=torch.float64)
    row[slice(None) if ids is None else ids] = weights.double()
    shares = torch.exp((scores - scores.max()).double())
    kept, mass = row > 0, float(shares.sum())
    assert torch.allclose(row[kept], shares[kept], rtol=1e-5)
    assert float(row.sum()) >= (top_p - 1e-5) * mass  # enough …
    assert float(row.sum() - row[kept].min()) <= (top_p + 1e-5) * mass  # … and none too many
    if not kept.all():
        assert shares[kept].min() >= shares[~kept].max() - 1e-6


@given(
    seed=st.integers(0, 2**16),
    spread=st.sampled_from([0.0, 0.2, 1.0, 3.0]),
    top_p=st.sampled_from([0.5, 0.8, 0.95]),
    min_p=st.sampled_from([0.0, 0.05]),
    levels=st.booleans(),  # few values make many equals
)
@settings(max_examples=40, deadline=None)
def test_what_is_drawn_from_all_is_in_the_nucleus(seed, spread, top_p, min_p, levels):
    scores = logits_of(20_000, seed, spread)
    scores = scores.round() if levels else scores
    shares, generator = exponentials(scores), torch.Generator().manual_seed(seed)
    ids, weights = nucleus(scores, top_p, min_p)
    kept = set((weights.nonzero().ravel() if ids is None else ids[weights > 0]).tolist())
    for _ in range(20):
        found = drawn_from_nucleus(shares, top_p, min_p, generator)
        # On the border sums of floats decide.
        assert (
            found is None
            or found in kept
            or shares[found] >= 0.999 * min(float(shares[list(kept)].min()), 1.0)
        )


@pytest.mark.parametrize(("top_p", "min_p"), [(0.5, 0.0), (0.9, 0.0), (0.9, 0.2)])
def test_draws_within_top_p_alone_follow_the_probabilities(top_p, min_p):
    scores = logits_of(40, 5, 1.0)
    sampling = Sampling(0.9, top_p=top_p, min_p=min_p, seed=1)
    sampler, draws = Sampler(sampling, [], CPU), 6000
    counts = torch.bincount(torch.tensor([sampler(scores) for _ in range(draws)]), minlength=40)
    expected = reference(scores, sampling, [0])
    assert int(counts[expected == 0].sum()) == 0
    kept = expected > 0
    difference = (counts[kept] - draws * expected[kept]).square() / (draws * expected[kept])
    freedom = int(kept.sum()) - 1
    assert float(difference.sum()) < freedom + 4 * math.sqrt(2 * freedom)


def test_a_draw_from_a_whole_vocabulary_follows_its_weights():
    weights = exponentials(logits_of(50_000, 3, 3.0))
    weights[weights < 0.02] = 0.0
    generator = torch.Generator().manual_seed(0)
    draws = torch.tensor([int(drawn(weights, generator)) for _ in range(20_000)])
    counts = torch.bincount(draws, minlength=len(weights)) / len(draws)
    assert float(weights[draws].min()) > 0
    assert 0.5 * float((counts - weights / weights.sum()).abs().sum()) < 0.06


@pytest.mark.parametrize("weights", [[0.0, 1.0, 0.0], [1.0, 0.0], [0.0, 0.0, 2.0]])
def test_what_has_no_weight_is_never_drawn(weights):
    row, generator = torch.tensor(weights), torch.Generator().manual_seed(0)
    assert {weights[int(drawn(row, generator))] for _ in range(200)} == {max(weights)}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("sampling", [Sampling(0.0), Sampling(1.0, 5), Sampling(1.0, 0, 0.9)])
def test_what_is_no_number_is_told(sampling, bad):
    scores = logits_of(2000, 0)
    scores[77] = bad
    with pytest.raises(Known, match="not numbers"):
        Sampler(sampling, [], CPU)(scores)


def test_penalties_of_a_long_answer_are_those_of_a_short_one_told_at_once():
    """Tables grow on the way; what is said again counts once."""
    generator = torch.Generator().manual_seed(1)
    told = torch.randint(0, 5000, (1500,), generator=generator).tolist()
    sampling = Sampling(1.0, repetition_penalty=1.2, presence_penalty=0.7)
    scores = logits_of(5000, 4)
    slow, quick = (
        Sampler(sampling, [1, 2, 3], CPU),
        Sampler(sampling, [1, 2, 3, *told], CPU, given=1500),
    )
    for token in told:
        slow.tell(token)
    assert torch.equal(slow.penalised(scores), quick.penalised(scores))
    expected = torch.where(scores < 0, scores * 1.2, scores / 1.2) - 0.7
    unseen = [n for n in range(5000) if n not in {1, 2, 3, *told}]
    expected[unseen] = scores[unseen]
    only_read = [n for n in (1, 2, 3) if n not in told]
    expected[only_read] += 0.7
    torch.testing.assert_close(slow.penalised(scores), expected)


def test_tokens_as_likely_as_the_last_of_top_k_stay():
    scores = torch.tensor([1.0, 3.0, 1.0, 1.0, 0.0])
    sampling = Sampling(1.0, top_k=2)
    assert torch.equal(dense(scores, sampling) > 0, reference(scores, sampling, [4]) > 0)


@given(seed=st.integers(0, 2**16), penalty=st.sampled_from([0.7, 1.1, 2.0]))
def test_repetition_penalty_covers_prompt_and_answer(seed, penalty):
    scores, prompt = logits_of(30, seed), [3, 3, 7]
    sampler = Sampler(Sampling(0.0, repetition_penalty=penalty), prompt, CPU)
    for _ in range(5):
        expected = reference(scores, Sampling(1.0, repetition_penalty=penalty), prompt)
        token = sampler(scores)
        assert token == int(expected.argmax())
        prompt.append(token)


def test_presence_penalty_covers_the_answer_only():
    scores = torch.tensor([2.0, 1.9, 1.0])
    sampler = Sampler(Sampling(0.0, presence_penalty=0.5), [0, 0, 0], CPU)
    assert [sampler(scores) for _ in range(4)] == [0, 1, 0, 0]
    assert scores.tolist() == [2.0, pytest.approx(1.9), 1.0]  # the runner's buffer is untouched


def test_what_is_drawn_follows_the_probabilities():
    scores, sampling = logits_of(40, 5, 1.0), Sampling(0.9, top_k=8, top_p=0.9, seed=1)
    sampler, draws = Sampler(sampling, [], CPU), 4000
    counts = torch.bincount(torch.tensor([sampler(scores) for _ in range(draws)]), minlength=40)
    expected = reference(scores, sampling, [0])
    assert 0.5 * float((counts / draws - expected).abs().sum()) < 0.03


def test_what_is_told_counts_as_what_was_drawn():
    scores = torch.tensor([2.0, 1.9, 1.0])
    sampler = Sampler(Sampling(0.0, presence_penalty=0.5), [], CPU)
    sampler.tell(0)
    assert sampler(scores) == 1


def test_a_continued_answer_keeps_its_penalties():
    """The last of the prompt are the beginning of the answer; what is before them is not."""
    scores = torch.tensor([2.0, 1.9, 1.0])
    sampling = Sampling(0.0, presence_penalty=0.5)
    assert Sampler(sampling, [1, 0], CPU, given=1)(scores) == 1
    assert Sampler(sampling, [0, 1], CPU, given=1)(scores) == 0
    assert Sampler(sampling, [0, 1], CPU, given=0)(scores) == 0


def test_a_seed_repeats_and_ignores_the_global_generator():
    scores = logits_of(200, 2, 0.5)

    def drawn(seed: int) -> list[int]:
        torch.manual_seed(len(scores))
        sampler = Sampler(Sampling(1.0, seed=seed), [], CPU)
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
