"""Rows of 16-bit activations times matrices of every kind, by the kernels that this CPU has."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.engine.cpu import start
from qwen_desktop.engine.cpu.runner import compiled_runner
from qwen_desktop.engine.halves import HalfLinear
from qwen_desktop.engine.transformers_runner import TransformersRunner
from tests.engine.checkpoints import make_checkpoint
from tests.engine.helpers import NEVER
from tests.engine.test_compiled_codes import IDS, SIZES, drawn_inputs, drawn_linear, opened

ROWS = st.sampled_from((1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 64, 65, 73))
SOME = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
HALF_STEP = {torch.bfloat16: 2**-8, torch.float16: 2**-11}  # what rounding to it costs at most


@pytest.fixture(scope="module")
def product(code):
    """The class; its import is what numba keeps code for."""
    start.use(code)
    from qwen_desktop.engine.cpu.products import Product

    return Product


@pytest.mark.parametrize("kind", ["int4", "int8", "int8own"])
@given(data=st.data(), rows=ROWS)
@SOME
def test_codes(product, kind, data, rows):
    """But for results, and weights of other kinds than int8, which are rounded once."""
    linear, exact = drawn_linear(data, kind)
    linear.compiled = product(linear, 2)
    x = drawn_inputs(data, rows, linear.in_features).bfloat16()
    found, wanted = linear(x), x.double() @ exact.T
    assert found.dtype is torch.bfloat16
    each = x.double().abs() @ exact.abs().T
    room = 1.01 * HALF_STEP[x.dtype] * wanted.abs() + 1e-5 * each
    if kind != "int8":  # whose codes are bfloats as they are
        room += 1.01 * HALF_STEP[x.dtype] * each
    if kind == "int4":  # codes are not centred before they are multiplied
        scales = linear.scales[0].double().abs().repeat_interleave(linear.form.group, dim=1)
        room += 1e-5 * (x.double().abs() @ (8 * scales).T)
    assert ((found - wanted).abs() <= room + 1e-35).all()


@pytest.mark.parametrize("dtype", HALF_STEP)
@given(data=st.data(), rows=ROWS, outputs=st.integers(1, 9), groups=st.integers(1, 5))
@SOME
def test_floats(product, dtype, data, rows, outputs, groups):
    linear = nn.Linear(64 * groups, outputs, bias=data.draw(st.booleans())).to(dtype)
    linear.requires_grad_(False).__class__ = HalfLinear
    linear.compiled, linear.few = product(linear, 2), 100
    x = drawn_inputs(data, rows, 64 * groups).to(dtype)
    found = linear(x)
    assert found.dtype is dtype
    weight = linear.weight.double()
    wanted, room = x.double() @ weight.T, 1e-5 * (x.double().abs() @ weight.abs().T)
    room += 2 * HALF_STEP[dtype] * wanted.abs() + 1e-7
    if linear.bias is not None:
        wanted += linear.bias.double()
        room += 2 * HALF_STEP[dtype] * wanted.abs()
    assert ((found - wanted).abs() <= room).all()


def test_weights_that_move_are_left_to_torch(product):
    linear = nn.Linear(64, 8).bfloat16().requires_grad_(False)
    linear.__class__ = HalfLinear
    linear.compiled, linear.few = product(linear, 2), 100
    linear.float()
    x = torch.randn(3, 64)
    assert torch.equal(linear(x), nn.functional.linear(x, linear.weight, linear.bias))


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("precision", [Precision.BF16, Precision.INT8, Precision.INT4])
def test_prompts_of_a_few_tokens_are_those_of_the_module(tmp_path, code, precision):
    folder = make_checkpoint(tmp_path, "qwen2", **SIZES)
    _, model = opened(folder, precision, rows=True)
    runner = compiled_runner(model, KvFormat.MODEL, code)
    assert runner is not None
    assert runner.wait()
    plain = TransformersRunner(opened(folder, precision)[1])

    def after(which, count):
        options = {"chunk": 64, "on_progress": lambda _: None, "cancel": NEVER}
        return which.prefill(which.new_cache(), IDS[:count], **options)

    for count in (1, 2, 5, 16, 37):
        ours, theirs = after(runner, count), after(plain, count)
        assert torch.cosine_similarity(ours, theirs, dim=0) > 0.999
    products = [m for m in model.modules() if getattr(m, "compiled", None) is not None]
    assert len(products) == 7 * len(model.get_decoder().layers) + 1
