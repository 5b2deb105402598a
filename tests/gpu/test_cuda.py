"""What only a CUDA card can show: its kernels for packed weights, placement, memory.

Skipped as a whole where there is no card. Run them alone with `python3 dev.py test tests/gpu`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.precision import INT4_GROUP, Form
from qwen_desktop.engine.quant.linear import packed_linear
from qwen_desktop.engine.quant.pack import round_off
from qwen_desktop.engine.transformers_runner import TransformersRunner
from tests.engine.helpers import NEVER, ask, load, request, text_of

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA card on this machine"
)

PROMPT = [3, 14, 15, 92, 65, 35, 89, 79, 32, 38, 46]


def logits_on(folder: Path, placement: str, precision: Precision) -> torch.Tensor:
    plan = loader.plan(inspect(folder), LoadRequest(folder, precision, placement))
    runner = TransformersRunner(loader.load(plan, NEVER, lambda _: None))
    found = runner.prefill(
        runner.new_cache(), PROMPT, chunk=4, on_progress=lambda _: None, cancel=NEVER
    )
    return found.cpu()


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "qwen3_moe", "qwen3_5_text"])
def test_logits_are_those_of_the_cpu(made: Callable[..., Path], family: str) -> None:
    folder = made(family)
    expected = logits_on(folder, "cpu", Precision.FP32)
    torch.testing.assert_close(
        logits_on(folder, "cuda", Precision.FP32), expected, atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
@pytest.mark.parametrize("precision", [Precision.BF16, Precision.FP16])
def test_half_precision_answers(
    made: Callable[..., Path], family: str, precision: Precision
) -> None:
    engine = Engine()
    load(engine, made(family), placement="cuda", precision=precision)
    assert engine.info.device == torch.cuda.get_device_name(0)
    assert text_of(ask(engine, request("hello")))
    sample = engine.memory()
    assert sample.weights == engine.info.weight_bytes
    assert sample.kv > 0


@pytest.mark.parametrize("rows", [1, 3, 200])
@pytest.mark.parametrize("bits", [4, 8])
def test_packed_products_are_those_of_the_floats(bits: int, rows: int) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(256, 64, bias=True, dtype=torch.bfloat16)
    form = Form(bits, INT4_GROUP if bits == 4 else 256)
    parts = round_off(linear.weight.detach(), form, torch.bfloat16, lambda: None)
    packed = {}
    for device in ("cpu", "cuda"):
        size = (linear.out_features, linear.in_features)
        made = packed_linear(size, linear.bias, form, torch.bfloat16, torch.device("cpu"))
        for name, part in parts.items():
            getattr(made, name).data = part.clone()
        made = made.to(device)
        made.place()
        x = torch.randn(rows, 256, generator=torch.Generator().manual_seed(1))
        packed[device] = made(x.to(device, torch.bfloat16)).float().cpu()
    torch.testing.assert_close(packed["cuda"], packed["cpu"], atol=0.05, rtol=0.05)


def test_a_card_and_main_memory_answer_as_one(made: Callable[..., Path]) -> None:
    folder = made("qwen3", num_hidden_layers=4)
    whole = Engine()
    load(whole, folder, placement="cpu", precision=Precision.FP32)
    split = Engine()
    load(split, folder, placement="split", precision=Precision.FP32)
    for engine in (whole, split):
        ask(engine, request("hello"))
    asked = request("hello", "yes", "more", max_new_tokens=20)
    assert text_of(ask(split, asked)) == text_of(ask(whole, asked))


def test_memory_comes_back(made: Callable[..., Path]) -> None:
    torch.cuda.init()
    before = torch.cuda.memory_allocated()
    engine = Engine()
    load(engine, made("qwen3"), placement="cuda")
    ask(engine, request("hello"))
    engine.unload()
    assert torch.cuda.memory_allocated() - before < 2**20
