"""Attention, products and draws of the lean forward against plain formulas."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from qwen_desktop.engine.lean.attention import (
    Piece,
    Used,
    over_rooms_in_parts,
    over_rooms_masked,
)
from qwen_desktop.engine.lean.linears import Int8Product, Joined, use_int8_product
from qwen_desktop.engine.lean.trial import quickest
from qwen_desktop.engine.likeliest import first_to_ring
from qwen_desktop.engine.precision import Form
from qwen_desktop.engine.quant.linear import packed_linear
from qwen_desktop.engine.quant.pack import round_off
from qwen_desktop.engine.sampling import Sampler, Sampling

CPU = torch.device("cpu")


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(dtype)


def plain(query, keys, values, scale, first):
    """Attention in float64; the query number n sees the positions up to `first` + n."""
    query, keys, values = query.double(), keys.double(), values.double()
    group = query.shape[1] // keys.shape[0]
    found = torch.zeros_like(query)
    for n in range(len(query)):
        for head in range(query.shape[1]):
            seen = slice(0, first + n + 1)
            scores = keys[head // group, seen] @ query[n, head] * scale
            found[n, head] = torch.softmax(scores, 0) @ values[head // group, seen]
    return found.reshape(len(query), -1)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([(4, 4), (4, 2), (7, 1), (6, 3)]),
    st.integers(1, 9),
    st.integers(0, 40),
)
def test_pieces(heads: tuple[int, int], tokens: int, before: int):
    query, width = noise(tokens, heads[0], 8), 8
    keys, values = (noise(heads[1], before + tokens, width, seed=n) for n in (1, 2))
    found = Piece(tokens, before + tokens, CPU).attend(query, keys, values, width**-0.5)
    wanted = plain(query, keys, values, width**-0.5, before)
    torch.testing.assert_close(found.double(), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("way", [over_rooms_masked, over_rooms_in_parts])
@pytest.mark.parametrize("capacity", [256, 1024, 300])
@pytest.mark.parametrize("heads", [(4, 4), (14, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_one_token_over_a_room(way, capacity, heads, dtype):
    position = torch.zeros(1, dtype=torch.long)
    used = Used(position, capacity)
    query = noise(1, heads[0], 64, dtype=dtype)
    keys, values = (noise(heads[1], capacity, 64, seed=n, dtype=dtype) * 3 for n in (1, 2))
    for at in (0, 1, 100, capacity - 1):
        position.fill_(at)
        used.refresh()
        assert int(used.count) == at + 1
        found = way(query, keys, values, 0.125, used)
        wanted = plain(query, keys, values, 0.125, at)
        off = 1e-5 if dtype is torch.float32 else 0.05
        torch.testing.assert_close(found.double(), wanted, atol=off, rtol=off)


def test_joined_linears():
    kinds = [nn.Linear(12, size, bias=True) for size in (8, 4, 6)]
    x = noise(5, 12)
    wanted = torch.cat([linear(x) for linear in kinds], 1)
    joined = Joined(kinds)
    torch.testing.assert_close(joined(x), wanted)
    assert joined.join()
    assert joined.is_joined
    torch.testing.assert_close(joined(x), wanted)
    torch.testing.assert_close(torch.cat(joined.apart(x), 1), wanted)
    torch.testing.assert_close(torch.cat([linear(x) for linear in kinds], 1), wanted)
    kinds[1].weight.data.zero_()  # the same memory
    assert not joined.apart(x)[1].sub(kinds[1].bias).any()


@pytest.mark.parametrize(
    "others",
    [
        [nn.Linear(12, 4, dtype=torch.bfloat16)],
        [nn.Linear(12, 4, bias=False)],
        [nn.Identity()],
    ],
    ids=["another dtype", "no bias", "another kind"],
)
def test_what_is_unlike_stays_apart(others):
    first = nn.Linear(12, 4)
    others[0].out_features = 4
    joined = Joined([first, *others])
    assert not joined.join()
    assert joined.products == (first, *others)


def int8_linear(outputs: int, inputs: int) -> tuple[nn.Module, torch.Tensor]:
    """A linear of 8 bits and, in float64, the matrix that its codes stand for."""
    form = Form(8, inputs)
    weight = noise(outputs, inputs, seed=3) * 0.05
    parts = round_off(weight, form, torch.bfloat16, lambda: None)
    made = packed_linear((outputs, inputs), None, form, torch.bfloat16, CPU)
    for name, part in parts.items():
        getattr(made, name).data = part.clone()
    made.place()
    exact = made.codes[0].double() * made.scales[0].double().unsqueeze(1)
    return made, exact


@pytest.mark.parametrize("rows", [1, 2, 8])
@pytest.mark.parametrize("size", [(64, 256), (48, 4864), (8, 18944)])
def test_products_of_integers(rows: int, size: tuple[int, int]):
    """Nearer to the exact product than bfloat16 inputs are to their floats."""
    linear, exact = int8_linear(*size)
    assert Int8Product.fits(linear)
    x = noise(rows, size[1], seed=5)
    x[:, 7] = 300.0  # as some channels of real models are
    wanted = x.double() @ exact.T
    found = Int8Product(linear).product(x).double()
    rounded = x.bfloat16().double() @ exact.T
    assert (found - wanted).abs().max() < (rounded - wanted).abs().max()
    zeros = Int8Product(linear).product(torch.zeros(1, size[1]))
    assert not zeros.any()


def test_the_quicker_product_is_used_and_answers_alike():
    linear, exact = int8_linear(64, 256)
    x = noise(3, 256, dtype=torch.bfloat16)
    before = linear(x)
    count = use_int8_product([linear, nn.Linear(4, 4)], CPU, torch.bfloat16)
    assert count == (linear.compiled is not None)
    torch.testing.assert_close(linear(x), before, atol=0.03, rtol=0.03)
    many = noise(40, 256, dtype=torch.bfloat16)
    wanted = many.double() @ exact.T
    torch.testing.assert_close(linear(many).double(), wanted, atol=0.05, rtol=0.05)


def test_of_ways_the_wrong_and_the_failing_ones_are_left_out(caplog):
    right = torch.ones(4)

    def fail() -> torch.Tensor:
        raise NotImplementedError("no such kernel")

    def slow() -> torch.Tensor:
        for _ in range(2000):
            right.clone()
        return right

    ways = {"first": slow, "wrong": lambda: right * 2, "failing": fail, "nan": lambda: right / 0}
    assert quickest(ways, CPU) == "first"
    assert "wrong" in caplog.text
    assert quickest({**ways, "quick": lambda: right}, CPU) == "quick"

    def refuse() -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.OutOfMemoryError):
        quickest({"first": slow, "large": refuse}, CPU)


def test_the_first_clock_to_ring_follows_the_weights():
    weights = torch.tensor([0.0, 1.0, 3.0, 0.5, 0.0, 5.5])
    generator = torch.Generator().manual_seed(7)
    counts = torch.zeros(6)
    for _ in range(20_000):
        counts[first_to_ring(weights, generator)] += 1
    assert counts[0] == counts[4] == 0
    torch.testing.assert_close(counts / counts.sum(), weights / weights.sum(), atol=0.012, rtol=0)


@pytest.mark.parametrize("sampling", [Sampling(0.0), Sampling(0.7, 20, 0.8), Sampling(0.7, 0, 0.8)])
def test_a_card_draws_what_a_cpu_may_draw(sampling: Sampling):
    """The way of cards, which waits once, on the CPU: of the same candidates."""
    scores = noise(5000, seed=1) * 3
    sampler = Sampler(sampling, [], CPU)
    drawn = {sampler._on_card(scores) for _ in range(400)}
    on_cpu = {Sampler(sampling, [], CPU).draw(scores)} if sampling.temperature == 0 else drawn
    assert drawn == on_cpu
    best = set(scores.topk(20 if sampling.top_k else 200).indices.tolist())
    assert drawn <= best
