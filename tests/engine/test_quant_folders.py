"""Quantised folders through the whole loader: what is kept, what is taken, what is answered."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.chat.events import Stage
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader, placement
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.quant.experts import PackedExperts
from qwen_desktop.engine.quant.linear import Int8Embedding, PackedLinear
from qwen_desktop.engine.transformers_runner import TransformersRunner
from qwen_desktop.errors import Cancelled
from tests.engine.checkpoints import edit_json, make_checkpoint
from tests.engine.helpers import NEVER, ask, load, request, text_of
from tests.engine.quantised import WIDE, WIDE_EXPERTS, Scheme, in_fp8, quantised

FAMILIES = ("qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_5_text", "qwen3_5_moe_text")

SCHEMES = {
    "gptq": Scheme(),
    "gptq-asym": Scheme(sym=False),
    "gptq-v2-act": Scheme(desc_act=True, sym=False, v2=True, group=64),
    "gptq-128": Scheme(group=128),
    "gptq-old": Scheme(group=-1, g_idx=False),
    "gptq-8": Scheme(bits=8),
    "gptq-8-asym-act": Scheme(bits=8, sym=False, desc_act=True),
    "awq": Scheme(method="awq", sym=False),
}


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A float checkpoint wide enough to be packed, once per family."""
    known: dict[str, Path] = {}

    def get(family: str, **options: object) -> Path:
        key = f"{family} {options}"
        if key not in known:
            sizes = dict(WIDE)
            if family.startswith("qwen2"):
                del sizes["head_dim"]
            if "_moe" in family:
                sizes |= WIDE_EXPERTS
            known[key] = make_checkpoint(tmp_path_factory.mktemp(family), family, **sizes | options)
        return known[key]

    return get


@pytest.fixture(scope="module")
def folders(
    floats: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[Path, Path]]:
    """A quantised folder and one with the floats it means, once per family and scheme."""
    known: dict[object, tuple[Path, Path]] = {}

    def get(family: str, scheme: Scheme | tuple[int, int]) -> tuple[Path, Path]:
        key = (family, str(scheme))
        if key not in known:
            target = tmp_path_factory.mktemp("quantised")
            make = quantised if isinstance(scheme, Scheme) else in_fp8
            known[key] = make(floats(family), target, scheme)
        return known[key]

    return get


def opened(folder: Path, precision: Precision) -> tuple[loader.Plan, TransformersRunner]:
    """`folder` loaded; what was foretold of its memory is what it took."""
    plan = loader.plan(inspect(folder), LoadRequest(folder, precision, "cpu"))
    runner = TransformersRunner(loader.load(plan, NEVER, lambda _: None))
    taken = runner.capabilities.weight_bytes
    assert taken == plan.nbytes == plan.placing.weights
    return plan, runner


def logits(runner: TransformersRunner) -> torch.Tensor:
    """After prompts of several lengths, so that few rows and many are multiplied."""
    found = []
    for count in (1, 5, 40, 200):
        ids = [3 + n % 250 for n in range(count)]
        cache = runner.new_cache()
        options = {"on_progress": lambda _: None, "cancel": NEVER}
        found.append(runner.prefill(cache, ids, chunk=256, **options))
        found.append(runner.decode(cache, 7, cancel=NEVER))
    return torch.stack(found)


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize(
    ("family", "scheme"),
    [
        *(("qwen2", name) for name in SCHEMES),
        *((f, name) for f in FAMILIES[1:] for name in ("gptq-v2-act", "gptq-8", "awq")),
    ],
)
def test_integer_codes(folders, family, scheme):
    folder, meant = folders(family, SCHEMES[scheme])
    expected = logits(opened(meant, Precision.FP32)[1])
    plan, runner = opened(folder, Precision.FP32)
    assert plan.words == "FP32"
    assert torch.equal(logits(runner), expected)

    plan, runner = opened(folder, Precision.AUTO)
    assert runner.capabilities.dtype == torch.bfloat16
    if "_moe" in family and scheme != "gptq-128":
        assert any(isinstance(module, PackedExperts) for module in runner.module.modules())
    if not plan.forms:  # tiny experts are narrower than a group
        assert "_moe" in family
        assert plan.words == "BF16"
        return
    method, bits = SCHEMES[scheme].method.upper(), SCHEMES[scheme].bits
    assert plan.words == f"INT{bits} ({method})"
    assert all(form.own for form in plan.forms.values())
    # The codes are exact: what is left is the rounding that bfloat16 brings to the floats too. In
    # a mixture of experts rounding may pick other experts, which moves some logits a lot.
    usual = distance(logits(opened(meant, Precision.BF16)[1]), expected)
    limit = 0.3 if "_moe" in family else 2 * usual + 0.01
    assert distance(logits(runner), expected) < limit


@pytest.mark.parametrize("block", [(128, 128), (48, 32)])
@pytest.mark.parametrize("family", FAMILIES)
def test_eight_bit_floats(folders, family, block):
    folder, meant = folders(family, block)
    for precision in (Precision.FP32, Precision.BF16, Precision.AUTO):
        plan, runner = opened(folder, precision)
        assert not plan.forms
        expected = logits(opened(meant, Precision(plan.placing.runs_in))[1])
        assert torch.equal(logits(runner), expected)


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.INT4])
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_from_floats(floats, family, precision, tmp_path):
    plan, runner = opened(floats(family), precision)
    assert plan.words == precision.name
    assert plan.forms
    assert any(".experts." in name for name in plan.forms) == ("_moe" in family)
    # A checkpoint of the floats that the codes stand for is the reference.
    tensors = load_file(floats(family) / "model.safetensors")
    tables = ("model.embed_tokens.weight", "lm_head.weight")
    for name, module in runner.module.named_modules():
        if isinstance(module, Int8Embedding):
            tensors[tables[0]] = module(torch.arange(module.num_embeddings)).float()
        elif name == "lm_head" and isinstance(module, PackedLinear) and tables[1] in tensors:
            tensors[tables[1]] = module(torch.eye(module.in_features)).T.contiguous()
        elif name != "lm_head" and isinstance(module, PackedLinear):
            eye = torch.eye(module.in_features)
            bias, module.bias = module.bias, None
            *before, kind, last = name.split(
                "."
            )  # experts are "down_proj.3" here, not "3.down_proj"
            words = [*before, last, kind] if last.isdigit() else [*before, kind, last]
            tensors[".".join([*words, "weight"])] = module(eye).T.contiguous()
            module.bias = bias
    meant = tmp_path / "meant"
    meant.mkdir()
    for file in floats(family).iterdir():
        (meant / file.name).write_bytes(file.read_bytes())
    save_file(tensors, meant / "model.safetensors", metadata={"format": "pt"})
    expected = logits(opened(meant, Precision.FP32)[1])
    usual = distance(logits(opened(meant, Precision.BF16)[1]), expected)
    limit = 0.4 if "_moe" in family else 2 * usual + 0.01
    assert distance(logits(runner), expected) < limit
    if precision is Precision.INT8:  # close to the original too; four bits of noise are not
        original = logits(opened(floats(family), Precision.FP32)[1])
        close = torch.cosine_similarity(logits(runner).flatten(), original.flatten(), dim=0)
        assert close > (0.95 if "_moe" in family else 0.99)


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.INT4])
@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_and_head_have_eight_bits_in_one_copy(floats, tied, precision):
    folder = floats("qwen3", tie_word_embeddings=tied)
    plan, runner = opened(folder, precision)
    assert plan.placing.tables
    embeddings, head = runner.module.get_input_embeddings(), runner.module.get_output_embeddings()
    assert (embeddings.codes is head.codes) == tied
    assert (embeddings.scales is head.scales) == tied
    assert embeddings.codes.dtype == torch.int8
    stored = load_file(folder / "model.safetensors")["model.embed_tokens.weight"].float()
    found = embeddings(torch.arange(len(stored))).float()
    assert (found - stored).abs().max() <= stored.abs().max() / 127
    if tied:
        y = head(torch.eye(stored.shape[1]).bfloat16()).float().T
        torch.testing.assert_close(y, found, atol=0.01, rtol=0.01)
    plan, runner = opened(folder, Precision.BF16)
    assert not plan.placing.tables


@pytest.mark.parametrize(
    ("stored", "asked", "own"),
    [
        (4, Precision.INT4, True),
        (8, Precision.INT8, True),
        (4, Precision.INT8, False),
        (8, Precision.INT4, False),
    ],
)
def test_codes_are_kept_where_they_are_what_is_asked_for(folders, stored, asked, own):
    folder, meant = folders("qwen3", Scheme(bits=stored))
    plan, runner = opened(folder, asked)
    assert plan.words == (f"INT{stored} (GPTQ)" if own else asked.name)
    assert {form.own for form in plan.forms.values()} == {own}
    if not own:  # then it is as if the floats had been packed
        again = logits(opened(meant, asked)[1])
        assert torch.equal(logits(runner), again)


@pytest.mark.parametrize("scheme", ["gptq", "gptq-8-asym-act", "awq"])
@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_greedy_answers(folders, family, scheme):
    folder, meant = folders(family, SCHEMES[scheme])
    answers = []
    for place in (meant, folder):
        engine = Engine()
        load(engine, place, precision=Precision.FP32)
        answers.append(text_of(ask(engine, request("hello", max_new_tokens=24))))
    assert answers[0] == answers[1] != ""
    load(engine, folder)
    assert engine.info.dtype.endswith(f"({SCHEMES[scheme].method.upper()})")
    events = ask(engine, request("hello", max_new_tokens=24))
    assert text_of(events)
    assert text_of(ask(engine, request("hello", conversation="d", max_new_tokens=24))) == text_of(
        events
    )


@pytest.mark.parametrize("scheme", ["gptq", "gptq-8-asym-act", "awq"])
@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_packed_steps_choose_as_the_floats_do(folders, family, scheme):
    """Along the floats' greedy path: bfloat16 may only decide between what is about level."""
    folder, meant = folders(family, SCHEMES[scheme])
    exact, kept = opened(meant, Precision.FP32)[1], opened(folder, Precision.AUTO)[1]
    caches = exact.new_cache(), kept.new_cache()
    options = {"chunk": 256, "on_progress": lambda _: None, "cancel": NEVER}
    wanted = exact.prefill(caches[0], [5, 6, 7], **options)
    found = kept.prefill(caches[1], [5, 6, 7], **options)
    for _ in range(48):
        best = int(wanted.argmax())
        assert wanted[best] - wanted[found.argmax()] <= 0.15 * wanted.std()
        wanted = exact.decode(caches[0], best, cancel=NEVER)
        found = kept.decode(caches[1], best, cancel=NEVER)


@pytest.mark.parametrize(("family", "count"), [("qwen2", 8), ("qwen2_moe", 32), ("qwen3", 14)])
def test_biases_without_a_place_are_fine_while_they_are_zero(folders, family, count):
    folder, meant = folders(family, replace(SCHEMES["gptq"], extra_bias=True))
    for precision in (Precision.FP32, Precision.AUTO):
        plan, _ = opened(folder, precision)  # they are not counted
        assert len(plan.empty) == count
        assert plan.read_bytes == inspect(folder).weight_bytes
        assert placement.model_of(inspect(folder)).weights.parameters == plan.parameters
    expected = logits(opened(meant, Precision.FP32)[1])
    assert torch.equal(logits(opened(folder, Precision.FP32)[1]), expected)


def test_the_older_file_describes_the_codes_too(folders, tmp_path):
    folder, _ = folders("qwen3", SCHEMES["gptq"])
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    edit_json(tmp_path / "config.json", quantization_config=None)
    (tmp_path / "quantize_config.json").write_text('{"bits": 4, "group_size": 32, "sym": true}')
    expected = logits(opened(folder, Precision.AUTO)[1])
    assert torch.equal(logits(opened(tmp_path, Precision.AUTO)[1]), expected)


@pytest.mark.parametrize("family", ["qwen2_moe", "qwen3_moe"])
def test_experts_of_which_only_some_matrices_can_be_packed(floats, family, tmp_path):
    original = floats(family, hidden_size=128)
    folder, meant = quantised(original, tmp_path, Scheme(group=128, sym=False))
    plan, runner = opened(folder, Precision.AUTO)
    packed_ones = {name.split(".")[-2] for name in plan.forms if ".experts." in name}
    assert packed_ones == {"gate_proj", "up_proj"}
    expected = logits(opened(meant, Precision.FP32)[1])
    assert distance(logits(runner), expected) < 0.3
    assert torch.equal(logits(opened(folder, Precision.FP32)[1]), expected)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8, Precision.INT4])
@pytest.mark.parametrize("family", ["qwen3_moe", "qwen3_5_moe_text"])
def test_experts_stored_in_one_tensor(floats, family, precision, tmp_path):
    """Newer checkpoints hold all experts of a layer in one; that makes no difference."""
    single = floats(family)
    tensors = load_file(single / "model.safetensors")
    for name in [n for n in tensors if n.endswith(".experts.0.up_proj.weight")]:
        prefix = name.removesuffix("0.up_proj.weight")
        parts = {
            kind: [tensors.pop(f"{prefix}{number}.{kind}.weight") for number in range(4)]
            for kind in ("gate_proj", "up_proj", "down_proj")
        }
        both = [torch.cat(pair) for pair in zip(parts["gate_proj"], parts["up_proj"])]
        tensors[f"{prefix}gate_up_proj"] = torch.stack(both)
        tensors[f"{prefix}down_proj"] = torch.stack(parts["down_proj"])
    for file in single.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    plan, runner = opened(tmp_path, precision)
    assert any(".experts." in name for name in plan.forms) == (precision is not Precision.FP32)
    assert plan.read_bytes == inspect(tmp_path).weight_bytes
    assert torch.equal(logits(runner), logits(opened(single, precision)[1]))


def test_groups_that_no_kernel_knows_become_floats(folders):
    folder, meant = folders("qwen3", Scheme(group=16))
    plan, runner = opened(folder, Precision.AUTO)
    assert not plan.forms
    assert plan.words == "BF16"
    assert torch.equal(logits(runner), logits(opened(meant, Precision.BF16)[1]))


@pytest.mark.parametrize("stage", [Stage.CHECKING, Stage.READING, Stage.PLACING, Stage.WARMING_UP])
def test_cancel_gives_everything_back(folders, floats, stage):
    engine = Engine()
    load(engine, floats("qwen3"))
    before = text_of(ask(engine, request("hello")))
    cancel = threading.Event()

    def on_progress(event) -> None:
        if event.stage is stage:
            cancel.set()

    folder, _ = folders("qwen3", SCHEMES["gptq"])
    with pytest.raises(Cancelled):
        engine.load(LoadRequest(folder), cancel, on_progress)
    gc.collect()
    assert not [found for found in gc.get_objects() if issubclass(type(found), PackedLinear)]
    assert text_of(ask(engine, request("hello"))) == before


def test_cancel_in_the_middle_of_a_matrix(floats, monkeypatch):
    folder = floats("qwen3")
    plan = loader.plan(inspect(folder), LoadRequest(folder, Precision.INT4, "cpu"))
    cancel, told = threading.Event(), []

    def on_progress(event) -> None:
        told.append(event)
        if event.done:
            cancel.set()

    with pytest.raises(Cancelled):
        loader.load(plan, cancel, on_progress)
    assert told[-1].done < plan.read_bytes


def test_unloading_gives_packed_weights_back(folders):
    folder, _ = folders("qwen3", SCHEMES["gptq"])
    engine = Engine()
    load(engine, folder)
    assert engine.memory().weights == pytest.approx(engine.info.weight_bytes, abs=1024)
    engine.unload()
    gc.collect()
    assert not [found for found in gc.get_objects() if issubclass(type(found), PackedLinear)]


def test_nothing_is_written_into_the_folder(folders):
    folder, _ = folders("qwen3", SCHEMES["awq"])

    def state() -> dict[str, tuple[bytes, int]]:
        return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}

    before = state()
    for precision in (Precision.AUTO, Precision.BF16, Precision.INT8):
        opened(folder, precision)
    assert state() == before


def test_stop_is_noticed_within_packed_layers(folders):
    folder, _ = folders("qwen3", SCHEMES["gptq"])
    _, runner = opened(folder, Precision.AUTO)
    modules = [m for m in runner.module.modules() if isinstance(m, PackedLinear)]
    assert modules
    assert all(module._forward_pre_hooks for module in modules)
