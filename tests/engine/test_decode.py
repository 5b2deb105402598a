"""The loop itself: steps in order, limits, and what allocates within relief."""

from __future__ import annotations

import threading

import pytest
import torch

from qwen_desktop.chat.events import FinishReason, Progress
from qwen_desktop.engine.decode import End, Prefilled, Token, decode
from qwen_desktop.engine.prompt import Prompt
from qwen_desktop.engine.relief import OutOfMemory
from qwen_desktop.engine.sampling import Sampler, Sampling
from qwen_desktop.engine.session import Session
from tests.engine.helpers import relief_of, runner_of, steps_of

IDS = tuple(range(40, 60))
PROMPT = Prompt(IDS, 0, thinking_open=False)


@pytest.fixture(scope="module")
def runner(made):
    return runner_of(made("qwen3"))


def greedy(runner) -> Sampler:
    capabilities = runner.capabilities
    return Sampler(Sampling(0.0), IDS, capabilities.device)


def tokens(steps) -> list[int]:
    return [step.id for step in steps if isinstance(step, Token)]


def test_steps_in_order_and_pieces_of_the_chunk(runner):
    steps = steps_of(runner, PROMPT, greedy(runner), max_new_tokens=3, chunk=8)
    assert [step.done for step in steps if isinstance(step, Progress)] == [0, 8, 16, 20]
    assert [type(step) for step in steps[4:]] == [Prefilled, Token, Token, Token, End]
    assert steps[4] == Prefilled(0)
    assert steps[-1] == End(FinishReason.LENGTH)


def test_only_new_tokens_count_and_what_is_cached_is_reused(runner):
    session = Session("c", runner)
    first = steps_of(runner, PROMPT, greedy(runner), max_new_tokens=3, session=session)
    longer = Prompt((*IDS, *tokens(first)), 0, thinking_open=False, given=3)
    steps = steps_of(runner, longer, greedy(runner), max_new_tokens=4, session=session)
    assert Prefilled(len(IDS) + 2) in steps
    assert len(tokens(steps)) == 4
    whole = steps_of(runner, PROMPT, greedy(runner), max_new_tokens=7)
    assert tokens(first) + tokens(steps) == tokens(whole)


def test_the_context_of_this_request_ends_it(runner):
    session = Session("c", runner)
    steps = steps_of(
        runner, PROMPT, greedy(runner), max_new_tokens=50, context_length=24, session=session
    )
    assert steps[-1] == End(FinishReason.CONTEXT_FULL)
    assert len(tokens(steps)) == 5
    assert len(session.ids) == 24


def test_each_token_is_chosen_after_the_one_before_was_given_out(runner):
    """Whoever takes the steps can still have a say in the next one."""
    given_out: list[int] = []
    chosen_after: list[int] = []

    def choose(logits: torch.Tensor) -> int:
        chosen_after.append(len(given_out))
        return 70 + len(given_out)

    capabilities = runner.capabilities
    for step in decode(
        Session("c", runner),
        PROMPT,
        choose,
        chunk=8,
        relief=relief_of(runner),
        end_ids=frozenset({73}),
        max_new_tokens=10,
        context_length=capabilities.context_length,
        cancel=threading.Event(),
    ):
        if isinstance(step, Token):
            given_out.append(step.id)
    assert given_out == [70, 71, 72]
    assert chosen_after == [0, 1, 2, 3]


@pytest.mark.parametrize("failing", [1, 4])
def test_a_draw_without_memory_is_tried_once_more(runner, failing):
    expected = tokens(steps_of(runner, PROMPT, greedy(runner), max_new_tokens=6))

    def short_of_memory(times: int):
        sampler, calls = greedy(runner), []

        def choose(logits: torch.Tensor) -> int:
            calls.append(1)
            if failing <= len(calls) < failing + times:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return sampler(logits)

        return choose

    steps = steps_of(runner, PROMPT, short_of_memory(1), max_new_tokens=6)
    assert tokens(steps) == expected
    with pytest.raises(OutOfMemory):
        steps_of(runner, PROMPT, short_of_memory(2), max_new_tokens=6)
