"""Reuse of the cache is exact: whatever was said, stopped or edited before."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.engine import session as limits
from qwen_desktop.engine.relief import OutOfMemory, Relief
from qwen_desktop.engine.session import Session, common_prefix
from qwen_desktop.errors import Cancelled
from tests.engine.checkpoints import FAMILY_SIZES
from tests.engine.helpers import NEVER, layers_of, runner_of
from tests.engine.test_runner import SLIDING, CancelAfter

KINDS = [("qwen3", {}), ("qwen2", SLIDING), ("qwen3_5_text", {}), ("qwen4_exp_text", {})]
KINDS = [kind for kind in KINDS if kind[0] in FAMILY_SIZES]


@pytest.fixture(params=KINDS, ids=str, scope="module")
def runner(request, made):
    family, options = request.param
    return runner_of(made(family, **options))


def relief() -> Relief:
    return Relief(torch.device("cpu"), lambda: 0)


def answer(
    session: Session,
    prompt: list[int],
    boundary: int,
    new: int,
    chunk: int = 8,
    ladder: Relief | None = None,
) -> torch.Tensor:
    """Prefill `prompt` and feed `new` tokens more; the last logits."""
    ladder = ladder or relief()
    session.rewind(prompt)
    for _, piece in session.prefill(prompt, boundary, NEVER, chunk=chunk, relief=ladder):
        logits = piece
    for token in range(50, 50 + new):
        logits = session.append(token, NEVER, ladder)
    return logits


@st.composite
def edits(draw) -> list[tuple[list[int], int, int, int]]:
    """Prompts that share prefixes: (ids, boundary, tokens answered, looks until a stop or -1)."""
    token = st.integers(40, 60)
    prompt = draw(st.lists(token, min_size=1, max_size=20))
    made = []
    for _ in range(draw(st.integers(1, 4))):
        keep = draw(st.integers(0, len(prompt)))
        prompt = prompt[:keep] + draw(st.lists(token, min_size=1, max_size=12))
        boundary = draw(st.integers(0, len(prompt)))
        made.append((prompt, boundary, draw(st.integers(0, 3)), draw(st.integers(-1, 4))))
    return made


@settings(max_examples=15)
@given(turns=edits())
def test_reuse_equals_a_fresh_session(runner, turns):
    session = Session("c", runner)
    for prompt, boundary, new, stop in turns:
        if stop >= 0:
            session.rewind(prompt)
            try:
                cancel = CancelAfter(stop)
                for _ in session.prefill(prompt, boundary, cancel, chunk=8, relief=relief()):
                    pass
            except Cancelled:
                assert session.ids == prompt[: len(session.ids)]
            assert session.cache.length == len(session.ids)
        reused = answer(session, prompt, boundary, new)
        fresh = answer(Session("f", runner), prompt, 0, new)
        assert session.cache.length == len(session.ids)
        torch.testing.assert_close(reused, fresh, atol=2e-3, rtol=1e-3)


def test_the_same_prompt_feeds_one_token_again(made):
    runner = runner_of(made("qwen3"))
    session = Session("c", runner)
    prompt = list(range(40, 60))
    answer(session, prompt, 0, 3)
    assert session.rewind(prompt) == len(prompt) - 1
    assert session.cache.length == len(session.ids) == len(prompt) - 1


def test_a_snapshot_at_the_boundary_is_reused(made):
    """A cache that cannot be cropped goes back to the boundary, not to the start."""
    session = Session("c", runner_of(made("qwen3_5_text")))
    question = list(range(40, 60))
    answer(session, [*question, 1, 2], len(question), 3)
    assert session.rewind([*question, 9, 9]) == len(question)
    answer(session, [*question, 9, 9], len(question), 1)
    assert session.rewind([*question[:10], 3]) == 0


class RefuseOnce:
    """Refuses memory before layer number `at` of some forward, counted over all of them."""

    def __init__(self, runner, at: int, times: int = 1) -> None:
        self.left, self.times = at, times
        self._layers = layers_of(runner)
        for layer in self._layers:
            layer.forward = partial(self._count, layer.forward)

    def _count(self, forward: Any, *given: Any, **options: Any) -> Any:
        self.left -= 1
        if self.left < 0 and self.times:
            self.times -= 1
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(*given, **options)

    def __enter__(self) -> RefuseOnce:
        return self

    def __exit__(self, *_: object) -> None:
        for layer in self._layers:
            del layer.forward


PROMPT = [40 + i % 20 for i in range(21)]


@pytest.mark.parametrize("at", range(0, 28, 3))
def test_a_forward_that_was_refused_memory_is_done_again(runner, at):
    """At any layer of any piece, in the prompt and in the answer: the result is the same."""
    session, ladder = Session("c", runner), relief()
    answer(session, PROMPT[:6], 4, 0)
    with RefuseOnce(runner, at):
        reused = answer(session, PROMPT, 15, 3, ladder=ladder)
    assert session.ids == [*PROMPT, 50, 51, 52]
    assert session.cache.length == len(session.ids)
    fresh = answer(Session("f", runner), PROMPT, 0, 3)
    torch.testing.assert_close(reused, fresh, atol=2e-3, rtol=1e-3)


def test_pieces_get_smaller_within_a_prefill(runner):
    session, ladder = Session("c", runner), relief()
    prompt = PROMPT * 2
    done = []
    layers = len(runner.module.get_decoder().layers)
    with RefuseOnce(runner, layers + 1):  # in the second piece
        for count, _ in session.prefill(prompt, 0, NEVER, chunk=8, relief=ladder):
            done.append(count)
    assert done == [8, *range(12, len(prompt), 4), len(prompt)]


@pytest.mark.parametrize("at", [0, 1, 5])
def test_a_forward_refused_again_leaves_what_was_read(runner, at):
    session = Session("c", runner)
    answer(session, PROMPT, 15, 2)
    held = len(session.ids)
    wanted = [*session.ids, *PROMPT]
    with RefuseOnce(runner, at, times=100), pytest.raises(OutOfMemory):
        answer(session, wanted, held, 0)
    assert session.cache.length == len(session.ids)
    assert session.ids == wanted[: len(session.ids)]
    assert len(session.ids) >= (held if session.can_crop else 15)
    again = answer(session, wanted, held, 0)
    fresh = answer(Session("f", runner), wanted, 0, 0)
    torch.testing.assert_close(again, fresh, atol=2e-3, rtol=1e-3)


def test_snapshots_are_few_and_count(made, monkeypatch):
    session = Session("c", runner_of(made("qwen3_5_text")))
    prompt: list[int] = []
    lengths = []
    for turn in range(10):
        prompt = [*prompt, *[40 + turn] * 5]
        answer(session, [*prompt, 1], len(prompt), 0)
        lengths.append(session.nbytes - session.cache.nbytes)
    one = lengths[0]
    assert one > 0
    assert max(lengths) == lengths[-1] == limits.MAX_SNAPSHOTS * one
    for back in (50, 45):  # the newest two are always there
        assert session.rewind([*prompt[:back], 3]) == back
    assert session.rewind([*prompt[:44], 3]) > 0
    monkeypatch.setattr(limits, "MAX_SNAPSHOT_BYTES", 1)
    for turn in range(3):
        prompt = [*prompt, *[60 + turn] * 5]
        answer(session, [*prompt, 1], len(prompt), 0)
    assert session.nbytes - session.cache.nbytes == 2 * one


@given(a=st.lists(st.integers(0, 2)), b=st.lists(st.integers(0, 2)))
def test_common_prefix(a, b):
    n = common_prefix(a, b)
    assert a[:n] == b[:n]
    assert a[n : n + 1] != b[n : n + 1] or n == len(a) == len(b)
