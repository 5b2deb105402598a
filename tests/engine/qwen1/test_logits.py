"""Logits, hidden states and greedy paths of the original, through the engine's own way of loading.

Held to 1e-3 at every position; no mistake in alpha, logn or the order of weights is that small.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qwen_desktop.engine.qwen1.facts import ntk_alpha
from qwen_desktop.engine.relief import Relief
from qwen_desktop.engine.session import Session
from tests.engine.helpers import NEVER
from tests.engine.qwen1.conftest import GOLDENS, golden

LIMIT = 1e-3
FLOAT = ["s-ntk-logn", "s-ntk", "s-logn", "s-plain"]
QUANTISED = ["s-gptq1-int4", "s-gptq1-int8", "s-gptq2-int4"]  # run in float32, exactly


@pytest.fixture(params=[*FLOAT, *QUANTISED], scope="module")
def name(request) -> str:
    return request.param


def golden_of(name: str):
    return golden(f"logits_{name}" + ("-deq" if name in QUANTISED else ""))


def close(values, wanted) -> None:
    torch.testing.assert_close(
        torch.as_tensor(np.asarray(values)), torch.as_tensor(wanted), atol=LIMIT, rtol=0
    )


def test_every_position_of_a_prompt(runner, name):
    """One forward over the whole prompt: all positions at the probes, the layers' states."""
    model, expected = runner(name).module, golden_of(name)
    file = f"logits_{name}{'-deq' if name in QUANTISED else ''}.npz"
    with np.load(GOLDENS / file) as arrays:
        for case in expected["prefill"]:
            ids = case["ids"]
            alpha = runner(name).rope_scale(len(ids))
            assert [alpha] == case["ntk_alpha"] or name == "s-gptq2-int4"
            with torch.inference_mode():
                if hasattr(model, "set_rope_scale"):
                    model.set_rope_scale(alpha)
                output = model(torch.tensor([ids]), output_hidden_states=True)
            logits = output.logits[0]
            close(logits[:, expected["probe_ids"]], arrays[f"probe_{len(ids)}"])
            states = torch.stack([layer[0, -1] for layer in output.hidden_states])
            close(states, arrays[f"hidden_last_{len(ids)}"])
            if f"last_{len(ids)}" in arrays:
                close(logits[-1], arrays[f"last_{len(ids)}"])
            close(logits[-1, case["top20_ids"]], case["top20"])
            sure = np.setdiff1d(np.arange(len(ids)), case["near_tie_positions"])
            best = np.asarray(case["argmax_every_position"])
            assert (logits.argmax(-1).numpy()[sure] == best[sure]).all()
            last = logits[-1].double()
            sums = [last.sum(), last.abs().sum(), last.std(unbiased=False)]
            wanted = [case["sum"], case["abs_sum"], case["std"]]
            assert np.allclose(sums, wanted, rtol=1e-5, atol=len(last) * 1e-5)


@pytest.mark.parametrize(
    ("name", "chunk"),
    # How a prompt is cut has nothing to do with how weights are stored.
    [*((name, chunk) for name in FLOAT for chunk in (7, 64, 1000)), *((q, 64) for q in QUANTISED)],
    scope="function",
)
def test_prompts_in_pieces(runner, name, chunk):
    """Alpha is that of the whole prompt, and later pieces see only what was before them."""
    for case in golden_of(name)["prefill"]:
        ids = case["ids"]
        cache = runner(name).new_cache(runner(name).rope_scale(len(ids)))
        logits = runner(name).prefill(
            cache, ids, chunk=chunk, on_progress=lambda _: None, cancel=NEVER
        )
        close(logits[case["top20_ids"]], case["top20"])


def greedy(session: Session, prompt: list[int], case, *, cached: bool):
    """The greedy path of `case` step by step: (alpha, logits), the best token fed back."""
    ids = list(prompt)
    logits = None
    relief = Relief(torch.device("cpu"), lambda: 0)
    for step in range(len(case["generated"])):
        if logits is None or not cached:
            session.rewind(ids)
            *_, (_, logits) = session.prefill(ids, 0, NEVER, chunk=64, relief=relief)
        assert logits is not None
        yield step, session.cache.rope_scale, logits
        ids.append(int(logits.argmax()))
        if cached:
            logits = session.append(ids[-1], NEVER, relief)


def test_greedy_paths(runner, name):
    """With a cache alpha stays that of the prompt. Without, every step is a prompt of its own:
    the session then keeps what it can, which must not show."""
    for case in golden_of(name)["decode"]:
        session = Session("c", runner(name))
        path = []
        steps = greedy(session, case["prompt_ids"], case, cached=case["cache"])
        for step, alpha, logits in steps:
            if name != "s-gptq2-int4":
                assert alpha == case["alphas"][step]
            ids, values = case["top5"][step]
            close(logits[ids], values)
            path.append(int(logits.argmax()))
        assert path == case["generated"]


def test_alpha():
    """Doubling with the prompt beyond the length of training, never in between."""
    lengths = (1, 63, 64, 65, 128, 129, 256, 257, 512, 513)
    assert [ntk_alpha(n, 64) for n in lengths] == [1, 1, 1, 3, 3, 7, 7, 15, 15, 31]
