"""Memory on a CUDA card: the planned peak is the measured one, and running out of it is survived.

Skipped as a whole where there is no card.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.events import GenerationEvent, Started
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader
from qwen_desktop.engine.architecture import architecture
from qwen_desktop.engine.budget import Costs
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.device import unlimit_memory
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.transformers_runner import TransformersRunner
from qwen_desktop.errors import Known
from tests.engine.checkpoints import PLAIN
from tests.engine.helpers import NEVER, ask, load, request, text_of

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA card on this machine"
)

# Half the widths of Qwen2.5-0.5B: what is planned is then well above the allocator's rounding.
WIDE = {
    "template": PLAIN,
    "hidden_size": 448,
    "intermediate_size": 2432,
    "num_hidden_layers": 8,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 16384,
    "initializer_range": 0.02,
}
CHUNK = 1024


@pytest.mark.parametrize("tokens", [64, 1024, 4096, 8192])
@pytest.mark.parametrize("kv", list(KvFormat))
def test_the_peak_is_the_planned_one(made: Callable[..., Path], kv: KvFormat, tokens: int) -> None:
    folder = made("qwen2", **WIDE)
    asked = LoadRequest(folder, Precision.BF16, "cuda", kv=kv)
    plan = loader.plan(inspect(folder), asked)
    runner = TransformersRunner(loader.load(plan, NEVER, lambda _: None), kv)

    def read(count: int) -> None:
        cache = runner.new_cache()
        ids = [7] * count
        runner.prefill(cache, ids, chunk=CHUNK, on_progress=lambda _: None, cancel=NEVER)

    read(2 * CHUNK)  # the libraries' own workspaces come with the first products
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    at_rest = torch.cuda.memory_allocated()
    read(tokens)
    torch.cuda.synchronize()
    shape = architecture(plan.checkpoint.config)
    costs = Costs(shape, 2, kv, tuple(range(shape.layers)), on_cpu=False, reserve=0)
    planned = at_rest + costs.need(tokens, tokens, CHUNK)
    assert torch.cuda.max_memory_allocated() == pytest.approx(planned, rel=0.02)


def test_a_card_that_runs_full_in_an_answer_is_no_end(made: Callable[..., Path]) -> None:
    engine = Engine()
    load(engine, made("qwen2", **WIDE), placement="cuda", precision=Precision.BF16)
    asked = request("hello " * 400)
    expected = text_of(ask(engine, asked))
    engine.forget("c")
    events: list[GenerationEvent] = []

    def starved() -> None:
        for event in engine.generate(asked, NEVER):
            events.append(event)
            if isinstance(event, Started):  # from here on the allocator gets nothing more
                torch.cuda.empty_cache()
                torch.cuda.set_per_process_memory_fraction(0.0)

    try:
        with pytest.raises(Known, match="Memory"):
            starved()
    finally:
        unlimit_memory([torch.device("cuda")])
    assert expected.startswith(text_of(events))
    assert text_of(ask(engine, asked)) == expected
    engine.unload()
