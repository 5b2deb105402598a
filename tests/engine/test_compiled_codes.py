"""Matrices of codes under the compiled step: row by row, by prompts, through the whole engine."""

from __future__ import annotations

import logging
import threading

import numpy as np
import psutil
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.events import Stage
from qwen_desktop.chat.model import EngineOptions, LoadRequest
from qwen_desktop.engine import engine as engines
from qwen_desktop.engine import loader
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.cpu import start
from qwen_desktop.engine.cpu.runner import compiled_runner
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.precision import Form
from qwen_desktop.engine.quant.linear import packed_linear
from qwen_desktop.engine.quant.pack import round_off
from qwen_desktop.engine.transformers_runner import TransformersRunner
from qwen_desktop.errors import Cancelled
from tests.engine.checkpoints import make_checkpoint
from tests.engine.helpers import NEVER, ask, load, request, text_of
from tests.engine.quantised import WIDE, Scheme, quantised

if start.why_not_here():
    pytest.skip(f"no compiled code here: {start.why_not_here()}", allow_module_level=True)

IDS = [7 + 13 * n % 250 for n in range(37)]
SIZES = {name: size for name, size in WIDE.items() if name != "head_dim"}
SCHEMES = {
    "gptq": Scheme(),
    "gptq-64": Scheme(sym=False, group=64),
    "awq": Scheme(method="awq", sym=False),
    "gptq-8": Scheme(bits=8, group=64),
    "gptq-8-asym": Scheme(bits=8, sym=False, group=-1),
}


# -- one matrix --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def decoded(code):
    """y = x · weight.T row by row, as the step computes it."""
    start.use(code)
    from numba import njit

    from qwen_desktop.engine.cpu.facts import kind_of_linear, shift_of
    from qwen_desktop.engine.cpu.step import prepare, product
    from qwen_desktop.engine.cpu.tables import places_of
    from qwen_desktop.engine.cpu.vectors import KINDS

    @njit
    def run(kind, rows, scales, zeros, shift, x, codes, steps, totals, y):
        n = x.shape[0]
        prepare(kind, shift, x, n, codes, steps, totals)
        for row in range(y.shape[0]):
            y[row] = product(kind, rows, scales, zeros, shift, row, x, codes, steps, totals, n)

    def multiply(linear, x, kind):
        n, y = len(x), np.zeros(linear.out_features, np.float32)
        codes = np.zeros(n + n // 4, np.int16)
        room = codes, np.zeros(n // 8, np.float32), np.full(n // 32 + 16, np.nan, np.float32)
        assert kind.startswith(kind_of_linear(linear))
        run(KINDS[kind], *places_of(linear), shift_of(linear), x.numpy().copy(), *room, y)
        return torch.from_numpy(y)

    return multiply


def drawn_linear(data, kind):
    """A linear of random codes in rows, and what they stand for in float64."""
    outputs, inputs = data.draw(st.integers(1, 9)), 64 * data.draw(st.integers(1, 6))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    bits = 4 if kind == "int4" else 8
    groups = {"int4": (32, 64, 128, 256), "int8own": (64, 128, inputs), "int8": (inputs,)}[kind]
    group = data.draw(st.sampled_from([g for g in groups if inputs % g == 0]))
    form = Form(bits, group, own=kind == "int8own")
    size = outputs, inputs
    linear = packed_linear(size, None, form, torch.bfloat16, torch.device("cpu"))
    each = data.draw(st.sampled_from((1e-30, 1e-4, 1.0, 1e6)))
    for name, tensor in linear.named_parameters():
        shape = tuple(tensor.shape)
        if name == "codes":
            low, high = (0, 256) if bits == 4 else (-128, 128)
            values = torch.from_numpy(generator.integers(low, high, shape)).to(tensor.dtype)
        elif name == "zeros":
            top = 129 if data.draw(st.booleans()) else 1
            values = torch.from_numpy(generator.integers(-top + 1, top, shape)).to(tensor.dtype)
        else:
            values = torch.from_numpy(generator.normal(0, each, shape)).to(tensor.dtype)
        setattr(linear, name, torch.nn.Parameter(values, requires_grad=False))
    codes, scales = linear.codes.clone(), linear.scales.double().clone()
    if bits == 4:
        spread = torch.stack((codes >> 4, codes & 15), dim=-1).view(outputs, -1, group).double()
        scale, zero = scales.permute(2, 1, 0)[..., None]
        exact = (spread - 8) * scale + zero
    else:
        exact = codes.transpose(0, 1).double()
        if form.own:
            exact = exact - linear.zeros.T.double()[..., None]
        exact = exact * scales.T[..., None]
    linear.place(rows=True)
    return linear.requires_grad_(False), exact.reshape(size)


def has_planes():
    from qwen_desktop.engine.cpu.vectors import FOURS

    return FOURS


def drawn_inputs(data, rows, inputs):
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x = generator.normal(0, 1, (rows, inputs)).astype(np.float32)
    x[0, :64] = 0  # a group of nothing
    x[-1, -1] *= data.draw(st.sampled_from((1, 1000)))  # one that stands out
    return torch.from_numpy(x)


KINDS = pytest.mark.parametrize("kind", ["int4", "int8", "int8own"])
SOME = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("kind", ["int4", "int8", "int8own", "int4planes"])
@given(data=st.data())
@SOME
def test_a_row_is_that_of_float64(decoded, kind, data):
    """But for activations, which are whole numbers of 1/32639 of the largest of 64, or less."""
    if kind == "int4planes" and not has_planes():
        pytest.skip("no products of bytes in fours here")
    linear, exact = drawn_linear(data, kind.removesuffix("planes"))
    x = drawn_inputs(data, 1, linear.in_features)[0]
    found = decoded(linear, x, kind)
    step = x.view(-1, 64).abs().amax(dim=1, keepdim=True).expand(-1, 64).reshape(-1) / 32639
    room = exact.abs() @ (step.double() * 0.51) + 1e-5 * (exact.abs() @ x.double().abs())
    if kind == "int4":  # codes are not centred before they are summed up; in planes they are
        room += 1e-5 * 8 * (linear.scales[0].double().abs() @ _by_groups(x, linear.form.group))
    assert ((found - exact @ x.double()).abs() <= room + 1e-35).all()


def _by_groups(x, group):
    return x.double().abs().view(-1, group).sum(dim=1)


@KINDS
@given(data=st.data(), rows=st.sampled_from((1, 2, 4, 5, 6, 7, 11, 13, 72, 73, 80)))
@SOME
def test_many_rows_are_those_of_float64(decoded, kind, data, rows):
    from qwen_desktop.engine.cpu.products import Product

    linear, exact = drawn_linear(data, kind)
    linear.compiled = Product(linear, 1)
    x = drawn_inputs(data, rows, linear.in_features)
    found, wanted = linear(x), x.double() @ exact.T
    room = x.double().abs() @ exact.abs().T
    if kind == "int4":  # as above, of a weight
        scales = linear.scales[0].double().abs().repeat_interleave(linear.form.group, dim=1)
        room += x.double().abs() @ (8 * scales).T
    assert ((found - wanted).abs() <= 1e-5 * room + 1e-35).all()


@pytest.mark.parametrize("form", [Form(4, 32), Form(8, 192, own=True), Form(8, 64, own=True)])
def test_rows_take_no_more_memory_and_stand_for_the_same(form):
    torch.manual_seed(0)
    made = packed_linear((48, 192), None, form, torch.bfloat16, torch.device("cpu"))
    if form.own:
        made.codes.random_(-128, 127)
        made.zeros.random_(-3, 3)
        made.scales.normal_()
    else:
        parts = round_off(torch.randn(48, 192), form, torch.bfloat16, lambda: None)
        for name, tensor in parts.items():
            setattr(made, name, torch.nn.Parameter(tensor, requires_grad=False))
    x = torch.randn(40, 192)
    before = made(x)
    made.place(rows=True)
    assert torch.equal(made(x), before)
    taken = sum(parameter.nbytes for parameter in made.parameters())
    assert taken == form.nbytes((48, 192))


# -- a model -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def floats(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("floats"), "qwen2", **SIZES)


@pytest.fixture(scope="module")
def folders(floats, tmp_path_factory):
    """A quantised folder and one with the floats it means, by scheme."""
    known = {}

    def get(scheme):
        if scheme not in known:
            target = tmp_path_factory.mktemp("quantised")
            known[scheme] = quantised(floats, target, SCHEMES[scheme])
        return known[scheme]

    return get


def opened(folder, precision=Precision.AUTO, rows=False):
    plan = loader.plan(inspect(folder), LoadRequest(folder, precision, "cpu"))
    model = loader.load(plan, NEVER, lambda _: None, rows=rows)
    assert sum(p.nbytes for p in model.parameters()) == plan.nbytes == plan.placing.weights
    return plan, model


def after(runner, ids):
    """The logits after each of `ids`, the first half of which is a prompt."""
    cache, half = runner.new_cache(), len(ids) // 2
    options = {"chunk": 16, "on_progress": lambda _: None, "cancel": NEVER}
    found = [runner.prefill(cache, ids[:half], **options).clone()]
    found += [runner.decode(cache, token, cancel=NEVER).clone() for token in ids[half:]]
    return torch.stack(found)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_folders_of_codes(folders, code, scheme):
    """As near to the same weights in float32 as torch's kernels are."""
    folder, meant = folders(scheme)
    plan, model = opened(folder, rows=True)
    runner = compiled_runner(model, KvFormat.MODEL, code)
    assert runner is not None
    assert runner.wait()
    assert runner._variant == plan.variant
    wanted = after(TransformersRunner(opened(meant, Precision.FP32)[1]), IDS)
    theirs = after(TransformersRunner(opened(folder)[1]), IDS)
    ours = after(runner, IDS)
    assert (ours - wanted).norm() <= 1.1 * (theirs - wanted).norm() + 1e-3
    assert torch.cosine_similarity(ours.flatten(), wanted.flatten(), dim=0) > 0.999
    for found, best in zip(ours, wanted, strict=True):  # greedy, but for what is about level
        assert best.max() - best[found.argmax()] <= 0.1 * best.std()


@pytest.mark.usefixtures("two_threads")
def test_floats_rounded_to_four_bits(floats, code):
    plan, model = opened(floats, Precision.INT4, rows=True)
    runner = compiled_runner(model, KvFormat.MODEL, code)
    assert runner is not None
    assert runner.wait()
    assert runner._variant == plan.variant
    theirs = after(TransformersRunner(opened(floats, Precision.INT4)[1]), IDS)
    ours = after(runner, IDS)
    assert torch.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0) > 0.999


def test_inputs_out_of_order_are_left_to_torch(floats, code, tmp_path):
    folder, _ = quantised(floats, tmp_path, Scheme(desc_act=True))
    _, model = opened(folder, rows=True)
    assert compiled_runner(model, KvFormat.MODEL, code) is None
    assert after(TransformersRunner(model), IDS).isfinite().all()


# -- the engine --------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch):
    """Tiny models are worth compiling for, too."""
    monkeypatch.setattr(engines, "COMPILED_FROM", 0)


@pytest.mark.usefixtures("two_threads")
def test_an_engine_decodes_codes_by_compiled_code(floats, code, small):
    engine = Engine()
    engine.configure(EngineOptions(code_folder=code))
    load(engine, floats, precision=Precision.INT4, placement="cpu")
    assert engine.card().runner.endswith(", compiled decode step")
    assert text_of(ask(engine, request("hello")))
    engine.unload()


def test_where_nothing_can_be_compiled_it_answers_and_says_why(floats, tmp_path, small, caplog):
    nowhere = tmp_path / "code"
    nowhere.write_text("not a folder")
    engine = Engine()
    engine.configure(EngineOptions(code_folder=nowhere))
    with caplog.at_level(logging.WARNING):
        load(engine, floats, precision=Precision.INT4, placement="cpu")
    assert "compiler ended without a result" in caplog.text
    plain = Engine()
    load(plain, floats, precision=Precision.INT4, placement="cpu")
    assert text_of(ask(engine, request("hello")))
    assert "no compiled decode step: the compiler ended" in engine.card().runner
    assert engine.info.weight_bytes == plain.info.weight_bytes


def test_cancel_ends_the_compiler(floats, tmp_path, small):
    engine = Engine()
    engine.configure(EngineOptions(code_folder=tmp_path))
    cancel, stages = threading.Event(), []

    def tell(event):
        stages.append(event.stage)
        if event.stage is Stage.COMPILING:
            cancel.set()

    with pytest.raises(Cancelled):
        engine.load(LoadRequest(floats, Precision.INT4, "cpu"), cancel, tell)
    assert stages[-1] is Stage.COMPILING
    words = [" ".join(child.cmdline()) for child in psutil.Process().children()]
    assert not [line for line in words if start.FLAG in line]
