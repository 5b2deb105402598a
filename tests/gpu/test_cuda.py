"""What only a CUDA card can show: its kernels for packed weights, placement, memory.

Skipped as a whole where there is no card. Run them alone with `python3 dev.py test tests/gpu`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.device import CARD_MARGIN, TORCH_TYPES
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
    assert sample.weights == pytest.approx(engine.info.weight_bytes, abs=1024)
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


@pytest.mark.parametrize(
    ("family", "precision"),
    [
        *((family, p) for family in ("qwen2", "qwen3") for p in TORCH_TYPES),
        ("qwen3_5_text", Precision.FP32),
    ],
)
def test_codes_of_keys_and_values_are_those_of_the_cpu(
    made: Callable[..., Path], tmp_path: Path, family: str, precision: Precision
) -> None:
    wide = {"hidden_size": 128, "initializer_range": 0.1} if family == "qwen2" else {"head_dim": 32}
    folder = made(family, **wide)
    runners, found = [], []
    for placement in ("cpu", "cuda"):
        asked = LoadRequest(folder, precision, placement, kv=KvFormat.INT8)
        plan = loader.plan(inspect(folder), asked)
        runners.append(TransformersRunner(loader.load(plan, NEVER, lambda _: None), KvFormat.INT8))
    for runner in runners:
        cache = runner.new_cache()
        runner.prefill(cache, PROMPT * 30, chunk=64, on_progress=lambda _: None, cancel=NEVER)
        found.append(runner.decode(cache, 7, cancel=NEVER).cpu())
    assert torch.cosine_similarity(*found, dim=0) > 0.99
    cache.save(tmp_path / "kv")
    again = runners[1].new_cache()
    again.load(tmp_path / "kv")
    assert (again.length, again.nbytes) == (cache.length, cache.nbytes)
    logits = [runners[1].decode(one, 9, cancel=NEVER) for one in (cache, again)]
    assert torch.equal(*logits)


def test_torch_takes_no_more_than_was_free(made: Callable[..., Path]) -> None:
    """While a model is open the allocator refuses what would leave nothing for the driver."""
    engine = Engine()
    for _ in range(2):  # the first time loads kernels, which take memory beside torch's
        load(engine, made("qwen3"), placement="cuda")
        ask(engine, request("hello"))
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info()[0]
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(free - CARD_MARGIN // 4, dtype=torch.uint8, device="cuda")
    assert text_of(ask(engine, request("hello")))
    engine.unload()
    free = torch.cuda.mem_get_info()[0]
    whole = torch.empty(free - CARD_MARGIN // 4, dtype=torch.uint8, device="cuda")
    del whole
    torch.cuda.empty_cache()


def test_a_stretched_context_on_a_card(made: Callable[..., Path]) -> None:
    folder = made("qwen3", max_position_embeddings=64)
    texts = []
    for placement in ("cpu", "cuda"):
        engine = Engine()
        load(engine, folder, placement=placement, precision=Precision.FP32, rope_factor=4.0)
        assert engine.info.context_length == 256
        texts.append(text_of(ask(engine, request("hello " * 15))))
    assert texts[0] == texts[1] != ""
