"""Log probabilities are those of a softmax over the scores that were drawn from."""

from __future__ import annotations

import pytest
import torch

from qwen_desktop.chat.events import Delta, Scored
from qwen_desktop.engine.choose import Chooser
from qwen_desktop.engine.sampling import Sampler, Sampling
from qwen_desktop.engine.scores import score, text_of
from tests.engine.checkpoints import PLAIN
from tests.engine.helpers import ask, request, tokenizer_of

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tokenizer(made):
    return tokenizer_of(made("qwen2", template=PLAIN))


@pytest.mark.parametrize("top", [1, 5, 300])
def test_as_a_softmax_has_it(tokenizer, top):
    scores = torch.randn(270, generator=torch.Generator().manual_seed(1)) * 4
    found = score(scores, 7, top, tokenizer)
    expected = torch.log_softmax(scores, 0)
    assert found.id == 7
    assert found.logprob == pytest.approx(float(expected[7]), abs=1e-5)
    values, ids = torch.sort(expected, descending=True)
    assert [other for other, _, _ in found.top] == ids[:top].tolist()
    assert [n for _, _, n in found.top] == pytest.approx(values[:top].tolist(), abs=1e-5)
    assert all(text == text_of(tokenizer, other) for other, text, _ in found.top)


def test_texts_for_people(tokenizer):
    (letter,) = tokenizer.encode("a")
    assert text_of(tokenizer, letter) == "a"
    (end,) = [i for i, text in tokenizer.added.items() if text == "<|im_end|>"]
    assert text_of(tokenizer, end) == "<|im_end|>"
    assert text_of(tokenizer, tokenizer.encode("字")[0]) == "\N{REPLACEMENT CHARACTER}"


def test_penalties_count_and_temperature_does_not(tokenizer):
    logits = torch.tensor([3.0, 2.0, 1.0])
    sampling = Sampling(0.0, presence_penalty=1.5)
    chooser = Chooser(Sampler(sampling, [0], CPU, given=1), tokenizer, 2)
    assert chooser(logits) == 1
    expected = torch.log_softmax(torch.tensor([1.5, 2.0, 1.0]), 0)
    assert chooser.score.logprob == pytest.approx(float(expected[1]))
    assert [other for other, _, _ in chooser.score.top] == [1, 0]


def test_tokens_that_had_to_come_have_scores_and_penalties_too(tokenizer):
    logits = torch.tensor([3.0, 2.9, 1.0])
    chooser = Chooser(Sampler(Sampling(0.0, presence_penalty=1.0), [], CPU), tokenizer, 1)
    chooser.force([2, 0])
    assert [(chooser(logits), chooser.forced, chooser.score.id) for _ in range(3)] == [
        (2, True, 2),
        (0, True, 0),
        (1, False, 1),
    ]


def scored(events) -> list:
    return [token for e in events if isinstance(e, Scored) for token in e.tokens]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_every_token_of_an_answer_is_scored(opened, temperature):
    engine = opened("qwen3")
    asked = request("hello", max_new_tokens=30, logprobs=3, temperature=temperature, seed=1)
    events = ask(engine, asked)
    ids = [i for e in events if isinstance(e, Delta) for i in e.ids]
    found = scored(events)
    assert [token.id for token in found] == ids
    assert all(len(token.top) == 3 and token.logprob <= token.top[0][2] for token in found)
    if temperature == 0.0:
        assert all(token.id == token.top[0][0] for token in found)


def test_nobody_asks_and_nothing_is_scored(opened):
    assert not scored(ask(opened("qwen3"), request("hello")))
