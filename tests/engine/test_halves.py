"""16-bit linears that multiply by way of floats compute what torch does, only more exactly."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from qwen_desktop.engine import halves
from qwen_desktop.engine.halves import HalfLinear, multiply_by_floats


@given(
    st.integers(1, 40),
    st.integers(1, 70),
    st.integers(1, 90),
    st.booleans(),
    st.sampled_from([torch.bfloat16, torch.float16]),
)
def test_it_is_the_product_of_the_same_weights(rows, outputs, inputs, bias, dtype):
    torch.manual_seed(rows * outputs + inputs)
    linear = nn.Linear(inputs, outputs, bias=bias).to(dtype)
    x = torch.randn(2, rows, inputs).to(dtype)
    linear.__class__ = HalfLinear
    with torch.no_grad():
        found = linear(x)
        exact = nn.functional.linear(
            x.double(), linear.weight.double(), linear.bias.double() if bias else None
        )
    assert found.shape == (2, rows, outputs)
    assert found.dtype is dtype
    torch.testing.assert_close(found.double(), exact, atol=2e-2, rtol=2e-2)


def test_blocks_join(monkeypatch):
    monkeypatch.setattr(halves, "_BLOCK", 7 * 16)
    linear = nn.Linear(16, 50).bfloat16()
    x = torch.randn(20, 16).bfloat16()
    with torch.no_grad():
        wanted = nn.functional.linear(x.float(), linear.weight.float(), linear.bias.float())
        linear.__class__ = HalfLinear
        torch.testing.assert_close(linear(x).float(), wanted, atol=2e-2, rtol=2e-2)


def test_only_16_bit_weights_are_changed_and_only_without_units_for_them(monkeypatch):
    def model(dtype):
        made = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4)).to(dtype)
        made.dtype = dtype
        return made

    for dtype, units, changed in (
        (torch.bfloat16, torch.float32, True),
        (torch.bfloat16, torch.bfloat16, False),
        (torch.float16, torch.bfloat16, True),
        (torch.float32, torch.float32, False),
    ):
        monkeypatch.setattr(halves, "matmul_dtype", lambda units=units: units)
        made = model(dtype)
        multiply_by_floats(made)
        assert all((type(part) is HalfLinear) == changed for part in made)
