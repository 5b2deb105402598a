"""Reuse of the cache is exact: whatever was said, stopped or edited before."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.engine.session import Session, common_prefix
from qwen_desktop.errors import Cancelled
from tests.engine.checkpoints import FAMILY_SIZES
from tests.engine.helpers import NEVER, runner_of
from tests.engine.test_runner import SLIDING, CancelAfter

KINDS = [("qwen3", {}), ("qwen2", SLIDING), ("qwen3_5_text", {}), ("qwen4_exp_text", {})]
KINDS = [kind for kind in KINDS if kind[0] in FAMILY_SIZES]


@pytest.fixture(params=KINDS, ids=str, scope="module")
def runner(request, made):
    family, options = request.param
    return runner_of(made(family, **options))


def answer(session: Session, prompt: list[int], boundary: int, new: int) -> torch.Tensor:
    """Prefill `prompt` and feed `new` tokens more; the last logits."""
    session.rewind(prompt)
    for _, piece in session.prefill(prompt, boundary, NEVER):
        logits = piece
    for token in range(50, 50 + new):
        logits = session.append(token, NEVER)
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


@settings(max_examples=25)
@given(turns=edits())
def test_reuse_equals_a_fresh_session(runner, turns):
    session = Session("c", runner)
    for prompt, boundary, new, stop in turns:
        if stop >= 0:
            session.rewind(prompt)
            try:
                for _ in session.prefill(prompt, boundary, CancelAfter(stop)):
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


@given(a=st.lists(st.integers(0, 2)), b=st.lists(st.integers(0, 2)))
def test_common_prefix(a, b):
    n = common_prefix(a, b)
    assert a[:n] == b[:n]
    assert a[n : n + 1] != b[n : n + 1] or n == len(a) == len(b)
