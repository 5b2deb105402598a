"""The ledger and the forecast on a CUDA card: what they say is what the card and the driver say.

Skipped as a whole where there is no card. Needs no Qt.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.events import Finished
from qwen_desktop.chat.ledger import Bound, Forecast, MemoryKind
from qwen_desktop.engine.device import CARD_MARGIN
from qwen_desktop.engine.engine import Engine
from tests.engine.helpers import ask, load, request
from tests.engine.talk import Talk
from tests.gpu.test_memory import WIDE

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA card on this machine"
)

MIB = 2**20
PARTS = ("weights", "kv", "kv_others", "activations", "slack", "runtime", "other", "free")


@pytest.fixture
def engine(made: Callable[..., Path]) -> Iterator[Engine]:
    engine = Engine()
    load(engine, made("qwen2", **WIDE), placement="cuda", precision=Precision.BF16)
    yield engine
    engine.unload()
    gc.collect()
    torch.cuda.empty_cache()


def test_the_ledger_adds_up_to_the_card(engine: Engine) -> None:
    ask(engine, request("hello " * 300))
    ask(engine, request("hello " * 100, conversation="other"))
    (ledger,) = engine.memory().ledgers
    assert ledger.kind is MemoryKind.CUDA
    assert sum(getattr(ledger, name) for name in PARTS) == ledger.total
    assert ledger.total == torch.cuda.mem_get_info()[1]
    held = ledger.weights + ledger.kv + ledger.kv_others + ledger.activations
    assert held == torch.cuda.memory_allocated()
    assert held + ledger.slack == torch.cuda.memory_reserved()
    assert ledger.kv_others > ledger.kv > 0
    assert ledger.activations < 128 * MIB  # workspaces alone: nothing is computed now
    assert ledger.runtime > 0  # a context is there, told by the driver or estimated


def test_the_peak_of_an_answer_is_the_planned_one(engine: Engine) -> None:
    ask(engine, request("hello " * 600))  # the libraries' own workspaces come with the first
    engine.forget("c")
    events = ask(engine, request("hello " * 600))
    (finished,) = [event for event in events if isinstance(event, Finished)]
    assert finished.peak_bytes == pytest.approx(finished.planned_bytes, rel=0.02)
    ledger = engine.memory().main
    assert 0 < ledger.peak <= finished.peak_bytes - ledger.weights


def test_what_a_full_context_takes_is_foreseen(engine: Engine) -> None:
    sample = engine.memory()
    assert sample.window == engine.info.context_length
    (costs,) = engine._answering._planner._costs.values()
    assert sample.main.kv + sample.main.kv_to_come == costs.cache(sample.window)


@pytest.mark.parametrize("kv", list(KvFormat))
def test_the_forecast_is_right_at_the_end_of_memory(
    made: Callable[..., Path], kv: KvFormat
) -> None:
    """A conversation that goes on until it no longer fits; the rest of the card is taken away."""
    engine = Engine()
    # Room for some thousands of tokens only: a wide cache, and a card that is nearly full.
    shape = WIDE | {"num_attention_heads": 14, "num_key_value_heads": 14, "hidden_size": 896}
    load(engine, made("qwen2", **shape), placement="cuda", precision=Precision.BF16, kv=kv)
    ask(engine, request("hello " * 300, conversation="first"))  # kernels are loaded by now
    engine.forget("first")
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1.0)
    free = torch.cuda.mem_get_info()[0]
    ballast = torch.empty(free - CARD_MARGIN - 256 * MIB, dtype=torch.uint8, device="cuda")
    talk = Talk(engine, 100, max_new_tokens=16)
    told: list[Forecast] = []
    while talk.turn():
        told.append(talk.count().forecast)
        assert len(told) < 200
    met = talk.count("hello the in " * talk.words).budget
    del ballast
    engine.unload()
    torch.cuda.empty_cache()
    assert told
    assert all(one.bound is Bound.MEMORY for one in told)
    assert all(one.limit == pytest.approx(met, rel=0.03) for one in told)
