"""Attention of the compiled step, against float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.engine.cpu import start

if start.why_not_here():
    pytest.skip(f"no compiled code here: {start.why_not_here()}", allow_module_level=True)

ROOM = 320  # tokens, of which few are held: what is behind them is no number
KINDS = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@pytest.fixture(scope="module")
def attention(code):
    """Attention of queries [heads, width] to keys and values [kv heads, ROOM, width]."""
    start.use(code)
    from numba import njit

    from qwen_desktop.engine.cpu.attention import BLOCK, attend, merge, part_of
    from qwen_desktop.engine.cpu.vectors import KINDS as ARRAYS

    @njit
    def run(kv, group, keys, values, room, count, parts, kv_heads, width, size, y, spare, out):
        shares, partial, tops, sums = spare
        for unit in range(kv_heads * parts):
            head, part = unit // parts, unit % parts
            begin, end = part_of(count, part, parts)
            offset = (head * room + begin) * width * size
            attend(
                kv, group, keys + offset, values + offset, end - begin, head * len(group) * width,
                unit, width, size, y, shares, partial, tops, sums,
            )  # fmt: skip
        merge(group, kv_heads, parts, width, partial, tops, sums, out)

    def attend_all(name, queries, keys, values, count, parts):
        kv_heads, room, width = keys.shape
        group = len(queries) // kv_heads
        units = kv_heads * parts
        spare = (
            np.full(units * group * BLOCK, np.nan, np.float32),
            np.full(units * group * width, np.nan, np.float32),
            *(np.full((units, group), np.nan, np.float32) for _ in range(2)),
        )
        out = np.full(queries.shape, np.nan, np.float32)
        at = keys.data_ptr(), values.data_ptr()
        run(
            ARRAYS[name], (0,) * group, *at, room, count, parts, kv_heads, width,
            keys.element_size(), queries.numpy().ravel(), spare, out.reshape(-1),
        )  # fmt: skip
        return torch.from_numpy(out)

    return attend_all


@pytest.mark.parametrize(("name", "group"), [("bfloat16", 7), ("float16", 2), ("float32", 1)])
@given(
    count=st.one_of(st.integers(1, 40), st.integers(120, 320)),
    parts=st.integers(1, 5),
    width=st.sampled_from((8, 24, 64, 80, 128)),
    seed=st.integers(0, 2**32),
    sharp=st.sampled_from((0.0, 1.0, 30.0)),
)
@settings(max_examples=60, deadline=None)
def test_attention_is_that_of_float64(attention, name, group, count, parts, width, seed, sharp):
    generator = torch.Generator().manual_seed(seed)
    both = torch.randn(2, 2, ROOM, width, generator=generator).to(KINDS[name])
    both[:, :, count:] = float("nan")
    queries = torch.randn(2 * group, width, generator=generator) * sharp / width**0.5
    found = attention(name, queries, both[0], both[1], count, parts)
    keys, values = (part[:, :count].double().repeat_interleave(group, dim=0) for part in both)
    scores = torch.einsum("hd,htd->ht", queries.double(), keys)
    wanted = torch.einsum("ht,htd->hd", scores.softmax(dim=-1), values)
    room = 1e-5 * (1 + scores.abs().amax(dim=-1, keepdim=True))
    assert ((found - wanted).abs() <= room * values.abs().amax(dim=(1, 2))[:, None]).all()


@given(count=st.integers(1, 5000), parts=st.integers(1, 9))
@settings(deadline=None)
def test_parts_of_a_sequence_are_all_of_it(code, count, parts):
    from qwen_desktop.engine.cpu.attention import TILE, part_of

    ends = [part_of.py_func(count, part, parts) for part in range(parts)]
    covered = [n for begin, end in ends for n in range(begin, end)]
    assert covered == list(range(count))
    assert all(begin % TILE == 0 for begin, _ in ends)


@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize("name", KINDS)
def test_kernels_of_any_width_of_vectors(code, lanes, name):
    """Also of those that this CPU does not use."""
    start.use(code)
    from numba import njit

    from qwen_desktop.engine.cpu.attention import add_values, scores
    from qwen_desktop.engine.cpu.vectors import KINDS as ARRAYS

    kind, tile, heads, tokens, width = ARRAYS[name], (0,) * lanes, (0,) * 3, 21, 40

    @njit
    def run(keys, values, queries, shares, out):
        scores(tile, kind, heads, keys, values, queries, 0, shares, 0, 32, width, tokens)
        found = shares.copy()
        shares[:] = 1 / (1 + np.abs(shares))
        add_values(tile, kind, heads, values, keys, shares, 0, 32, out, 0, width, tokens)
        return found

    keys, values = torch.randn(2, 32, width).to(KINDS[name])
    queries, shares = torch.randn(3, width), np.zeros(3 * 32, np.float32)
    out = np.ones(3 * width, np.float32)
    at = keys.data_ptr(), values.data_ptr()
    found = torch.from_numpy(run(*at, queries.numpy().ravel(), shares, out)).view(3, 32)
    wanted = queries.double() @ keys[:tokens].double().T
    torch.testing.assert_close(found[:, :tokens].double(), wanted, atol=1e-4, rtol=1e-4)
    last = -(-tokens // lanes) * lanes
    assert (found[:, tokens:last] == -torch.inf).all()
    share = torch.from_numpy(shares).view(3, 32)[:, :tokens].double()
    added = torch.from_numpy(out).view(3, width).double() - 1
    torch.testing.assert_close(added, share @ values[:tokens].double(), atol=1e-4, rtol=1e-4)
