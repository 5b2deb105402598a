"""Packed matrices one by one: exact dequantisation, rounding within half a step, right products."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.engine.precision import Form, form_of, source_bytes
from qwen_desktop.engine.quant import kernels
from qwen_desktop.engine.quant.linear import PackedLinear, packed_linear
from qwen_desktop.engine.quant.pack import part_shapes, round_off
from qwen_desktop.engine.quantisation import Quantisation
from qwen_desktop.engine.shards import read_header
from qwen_desktop.engine.sources import Source, sources_of
from qwen_desktop.engine.weights import LazyWeights
from qwen_desktop.errors import Known
from tests.engine.quantised import Scheme, quantise, to_fp8

NAME = "model.layers.0.mlp.up_proj"
NEVER = threading.Event()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("matrix")


def source_in(folder: Path, tensors: dict, how: Quantisation) -> Source:
    """The one weight that `tensors` make up, written to disk."""
    shard = folder / "model.safetensors"
    save_file({key: torch.as_tensor(value) for key, value in tensors.items()}, shard)
    return sources_of(read_header(shard), how)[f"{NAME}.weight"]


def parts_of(
    source: Source, form: Form | None, dtype: torch.dtype = torch.float32
) -> dict[str, torch.Tensor]:
    """What the loader gives to the model, by the last word of its name."""
    forms = {source.name: form} if form else {}
    given = LazyWeights({source.name: source}, forms, dtype, NEVER, lambda *_: None).tensors
    for lazy in given.values():
        tensor = lazy[...]
        assert (tensor.shape, tensor.dtype) == (lazy.shape, lazy.dtype)
    return {name.rpartition(".")[2]: lazy[...] for name, lazy in given.items()}


def packed_source(folder: Path, scheme: Scheme, weight: np.ndarray) -> tuple[Source, np.ndarray]:
    tensors, exact = quantise(weight, scheme)
    how = Quantisation(
        scheme.method,
        "config.json",
        bits=scheme.bits,
        group=scheme.group,
        plain_zeros=scheme.v2 or scheme.method == "awq",
    )
    return source_in(folder, {f"{NAME}.{part}": t for part, t in tensors.items()}, how), exact


def linear_of(source: Source, form: Form, dtype: torch.dtype, bias: bool = False) -> PackedLinear:
    outputs, inputs = source.shape
    linear = torch.nn.Linear(inputs, outputs, bias=bias, dtype=dtype)
    made = packed_linear(source.shape, linear.bias, form, dtype, torch.device("cpu"))
    for name, tensor in parts_of(source, form, dtype).items():
        assert tensor.shape == getattr(made, name).shape
        setattr(made, name, torch.nn.Parameter(tensor, requires_grad=False))
    taken = sum(p.nbytes for name, p in made.named_parameters() if name != "bias")
    assert taken == form.nbytes(source.shape)
    return made.requires_grad_(False)


SCHEMES = st.builds(
    Scheme,
    method=st.just("gptq"),
    bits=st.sampled_from((4, 8)),
    group=st.sampled_from((-1, 16, 24, 32, 64, 128, 512)),
    sym=st.booleans(),
    desc_act=st.booleans(),
    v2=st.booleans(),
    g_idx=st.just(True),
) | st.builds(
    Scheme,
    method=st.just("awq"),
    group=st.sampled_from((-1, 16, 32, 64, 128)),
    sym=st.booleans(),
)


def drawn(data: st.DataObject) -> np.ndarray:
    outputs, inputs = data.draw(st.integers(1, 7)) * 8, data.draw(st.integers(1, 12)) * 32
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    return generator.normal(data.draw(st.sampled_from((0, 0.5))), 1, (outputs, inputs))


@given(data=st.data(), scheme=SCHEMES)
@settings(max_examples=80, deadline=None)
def test_integer_codes_become_the_very_floats(folder, data, scheme):
    source, exact = packed_source(folder, scheme, drawn(data))
    assert torch.equal(parts_of(source, None)["weight"], torch.from_numpy(exact))
    rounded = torch.from_numpy(exact).bfloat16()
    assert torch.equal(parts_of(source, None, torch.bfloat16)["weight"], rounded)


@pytest.mark.parametrize(
    ("scheme", "bits", "group"),
    [
        (Scheme(bits=8, group=32, g_idx=False), 4, 128),
        (Scheme(bits=4, group=64, g_idx=False), 4, -1),
        (Scheme(bits=4, group=48, g_idx=False), 4, 48),  # as said, the last group smaller
    ],
)
def test_modules_may_differ_where_that_is_said(folder, scheme, bits, group):
    tensors, exact = quantise(np.random.default_rng(0).normal(size=(16, 128)), scheme)
    stored = {f"{NAME}.{part}": tensor for part, tensor in tensors.items()}
    how = Quantisation("gptq", "config.json", bits=bits, group=group, mixed=True)
    source = source_in(folder, stored, how)
    assert torch.equal(parts_of(source, None)["weight"], torch.from_numpy(exact))
    if (scheme.bits, scheme.group) != (bits, group):
        with pytest.raises(Known, match="not quantised as said"):
            source_in(folder, stored, replace(how, mixed=False))


@given(
    data=st.data(),
    block=st.tuples(st.sampled_from((1, 16, 48, 128)), st.sampled_from((8, 32, 128))),
)
@settings(max_examples=40, deadline=None)
def test_eight_bit_floats_become_the_very_floats(folder, data, block):
    weight = torch.from_numpy(drawn(data)).float()
    if data.draw(st.booleans()):  # three matrices in one tensor, as of experts
        weight = torch.stack((weight, 2 * weight, weight.flip(0)))
    codes, scales, exact = to_fp8(weight, block)
    tensors = {f"{NAME}.weight": codes, f"{NAME}.weight_scale_inv": scales}
    source = source_in(folder, tensors, Quantisation("fp8", "config.json", block=block))
    assert torch.equal(parts_of(source, None)["weight"], exact)


def test_eight_bit_floats_with_one_scale_for_all(folder):
    codes, scales, exact = to_fp8(torch.randn(24, 40), (24, 40))
    for shape in ((), (1,), (1, 1)):
        tensors = {f"{NAME}.weight": codes, f"{NAME}.weight_scale_inv": scales.reshape(shape)}
        source = source_in(folder, tensors, Quantisation("fp8", "config.json"))
        assert torch.equal(parts_of(source, None)["weight"], exact)


def products(made: PackedLinear, exact: torch.Tensor, dtype: torch.dtype) -> None:
    """The product for few rows and many is that with the floats, but for rounding.

    Codes are exact. Scales, zeros, inputs to float32 and the result are rounded to 16 bits, each
    by less than 2**-8 of what is added up: in all below 2**-6 of the sum of magnitudes.
    """
    for rows in (1, 5, 31, 97, 130):
        x = torch.randn(rows, exact.shape[1]).to(dtype)
        y = made(x.view(1, rows, -1))
        assert (y.dtype, y.shape) == (dtype, (1, rows, len(exact)))
        expected, magnitude = x.float() @ exact.T, x.float().abs() @ exact.abs().T
        if made.bias is not None:
            expected += made.bias.float()
        wrong = (y[0].float() - expected).abs() / (magnitude + 1)
        assert wrong.max() < 2**-6


@pytest.mark.parametrize("rows", [16, 48, 160, 208])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "scheme",
    [
        Scheme(),
        Scheme(sym=False, v2=True, group=64),
        Scheme(desc_act=True, group=128),
        Scheme(group=-1, sym=False),
        Scheme(method="awq", sym=False),
        Scheme(bits=8),
        Scheme(bits=8, sym=False, desc_act=True),
        Scheme(bits=8, group=-1, v2=True),
        Scheme(bits=8, group=16),
    ],
    ids=str,
)
def test_products_with_the_codes_of_a_folder(folder, scheme, dtype, rows):
    torch.manual_seed(0)
    weight = np.random.default_rng(1).normal(0.1, 1, (rows, 256))
    source, exact = packed_source(folder, scheme, weight)
    form = form_of(source, Precision.INT4 if scheme.bits == 4 else Precision.INT8)
    assert form is not None
    assert form.own
    assert form.nbytes(source.shape) == source_bytes(
        source, Precision.INT4 if scheme.bits == 4 else Precision.INT8
    )
    made = linear_of(source, form, dtype, bias=True)
    products(made, torch.from_numpy(exact), dtype)  # as on a device without a kernel
    made.place()
    products(made, torch.from_numpy(exact), dtype)


def test_the_layout_of_the_int4_kernel_is_known():
    """Not a matter of correctness: without it prefill goes through the kernel, at half speed."""
    assert kernels.int4_layout() is not None


def test_an_unknown_layout_of_the_kernel_changes_no_result(folder, monkeypatch):
    source, exact = packed_source(folder, Scheme(), np.random.default_rng(1).normal(size=(64, 128)))
    made = linear_of(source, form_of(source, Precision.INT4), torch.bfloat16)
    made.place()
    monkeypatch.setattr(kernels, "int4_layout", lambda: None)
    products(made, torch.from_numpy(exact), torch.bfloat16)


@given(data=st.data(), bits=st.sampled_from((4, 8)), scale=st.sampled_from((1e-30, 1e-3, 1, 1e4)))
@settings(max_examples=60, deadline=None)
def test_rounding_stays_within_half_a_step(data, bits, scale):
    weight = torch.from_numpy(drawn(data)).float() * scale
    weight[0] = 0
    weight[1] = 3 * scale  # one value all along
    weight[2, 0] = 100 * scale  # one that stands out
    form = Form(4, 32) if bits == 4 else Form(8, weight.shape[1])
    parts = round_off(weight, form, torch.bfloat16, lambda: None)
    made = packed_linear(tuple(weight.shape), None, form, torch.bfloat16, torch.device("cpu"))
    for name, tensor in parts.items():
        setattr(made, name, torch.nn.Parameter(tensor, requires_grad=False))
    stood_for = made(torch.eye(weight.shape[1])).T
    step = made.scales[..., 0] if bits == 4 else made.scales  # [groups, out]
    half = step.float().T.repeat_interleave(form.group, dim=1) / 2
    # The rest is the rounding of what the products are made in: of codes times scales, and of sums.
    groups = weight.abs().unflatten(1, (-1, form.group))
    largest = groups.amax(dim=2, keepdim=True).expand_as(groups).flatten(1)
    rounding = 4 * torch.finfo(kernels.matmul_dtype()).eps * largest
    assert ((stood_for - weight).abs() <= half * 1.001 + rounding).all()
    assert (stood_for[0] == 0).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_products_of_rounded_floats(bits):
    torch.manual_seed(0)
    weight = torch.randn(96, 256)
    form = Form(4, 32) if bits == 4 else Form(8, 256)
    parts = round_off(weight, form, torch.bfloat16, lambda: None)
    linear = torch.nn.Linear(256, 96, bias=True, dtype=torch.bfloat16)
    device = torch.device("cpu")
    made = packed_linear((96, 256), linear.bias, form, torch.bfloat16, device).requires_grad_(False)
    for name, (shape, dtype) in part_shapes(form, (96, 256), torch.bfloat16).items():
        assert (parts[name].shape, parts[name].dtype) == (shape, dtype)
        setattr(made, name, torch.nn.Parameter(parts[name], requires_grad=False))
    exact = made(torch.eye(256)).T - made.bias.float()[:, None]
    made.place()
    products(made, exact, torch.bfloat16)
    across = torch.randn(256, 3).bfloat16().T  # strides of another order
    assert torch.equal(made(across), made(across.contiguous()))
