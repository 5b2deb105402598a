"""What torch's kernels for packed weights can do on this machine, and how they lay codes out.

Decoding reads every weight for one row of inputs: there the kernels win, since they read fewer
bytes. For many rows they have no fast path on a CPU, and the codes are turned back into floats
block by block; for that the layout the int4 kernel chose for this CPU has to be known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch

from qwen_desktop.engine.device import has_bfloat16
from qwen_desktop.engine.quant.pack import in_pairs

_aten = torch.ops.aten

# Inputs of an int8 matrix have to be a multiple of this: the kernel reads past the end otherwise.
INT8_STEP = 32

# Rows of inputs from which turning codes into floats beats the kernels. Measured with AVX2.
CPU_ROWS_INT4 = 96
CPU_ROWS_INT8 = 32

_REPACK = 2**21  # elements repacked at a time


@lru_cache
def matmul_dtype() -> torch.dtype:
    """What a CPU multiplies matrices of many rows in soonest: bfloat16 only with units for it."""
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        check = getattr(torch.cpu, name, None)
        if check is not None and check():
            return torch.bfloat16
    return torch.float32


def pack_int4_cpu(pairs: torch.Tensor, check: Callable[[], object] = bool) -> torch.Tensor:
    """Codes in pairs [out, in / 2] as the int4 kernel of this CPU wants them, uint8 too.

    `check` is called often and may raise.
    """
    outputs, half = pairs.shape
    found = torch.empty_like(pairs)
    layout = int4_layout()
    # Blocks of outputs lie one after another, whatever their size, which divides 64.
    step = max(64, _REPACK // (2 * half) // 64 * 64)
    for first in range(0, outputs, step):
        check()
        some = pairs[first : first + step]
        whole = len(some) // layout.rows * layout.rows if layout else 0
        if layout and whole:  # many times as quick as the kernel's own way by way of int32
            found[first : first + whole] = layout.packed(some[:whole]).view(whole, half)
        if whole < len(some):
            codes = torch.stack((some[whole:] >> 4, some[whole:] & 15), dim=-1).flatten(1)
            found[first + whole : first + step] = _packed_by_torch(codes)
    return found


def _packed_by_torch(codes: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = _aten._convert_weight_to_int4pack_for_cpu(codes.to(torch.int32), 1)
    return found


@dataclass(frozen=True)
class Layout:
    """Where the int4 kernel keeps codes: blocks of `rows` outputs, within one input by input.

    Byte b of an input holds the codes of the outputs low[b] and high[b] of the block.
    """

    rows: int
    low: tuple[int, ...]
    high: tuple[int, ...]

    def packed(self, pairs: torch.Tensor) -> torch.Tensor:
        """Codes in pairs [whole blocks of outputs, in / 2] as the kernel wants them, uint8
        [blocks, in, rows / 2]."""
        half = pairs.shape[1]
        blocks = pairs.view(-1, self.rows, half)
        low, high = blocks[:, list(self.low)], blocks[:, list(self.high)]
        # The codes of a pair stay apart by their place in the byte: no need to spread them out.
        found = pairs.new_empty((len(blocks), half, 2, self.rows // 2))
        found[:, :, 0] = (low >> 4 | high & 240).transpose(1, 2)
        found[:, :, 1] = (low & 15 | high << 4).transpose(1, 2)
        return found.view(len(blocks), 2 * half, self.rows // 2)

    def unpacked(self, packed: torch.Tensor, inputs: int) -> torch.Tensor:
        """Whole blocks of `packed` as uint8 [blocks, in, rows], the outputs in order."""
        octets = packed.reshape(-1, inputs, self.rows // 2)
        found = octets.new_empty((*octets.shape[:2], self.rows))
        for part, places in ((octets & 15, self.low), (octets >> 4, self.high)):
            for source, target, count in _runs(places):
                found[..., target : target + count] = part[..., source : source + count]
        return found


@lru_cache
def _runs(places: tuple[int, ...]) -> tuple[tuple[int, int, int], ...]:
    """`places` as stretches of neighbours: from, to, count."""
    runs: list[tuple[int, int, int]] = []
    for source, target in enumerate(places):
        if runs and target == runs[-1][1] + runs[-1][2]:
            start, to, count = runs[-1]
            runs[-1] = (start, to, count + 1)
        else:
            runs.append((source, target, 1))
    return tuple(runs)


@lru_cache
def int4_layout() -> Layout | None:
    """The layout of the int4 kernel of this CPU; None where it is of another kind.

    Found by packing numbered outputs, then proved on random codes: torch promises no layout.
    """
    inputs = 64
    for rows in (64, 32, 16):
        number = torch.arange(rows, dtype=torch.uint8)[:, None].expand(rows, inputs)
        codes = [(number >> shift & 15).contiguous() for shift in (0, 4)]
        packed = [_packed_by_torch(c).view(inputs, rows // 2)[0] for c in codes]
        low = tuple(((packed[0] & 15) | (packed[1] & 15) << 4).tolist())
        high = tuple(((packed[0] >> 4) | (packed[1] >> 4) << 4).tolist())
        if sorted(low + high) != list(range(rows)):
            continue
        layout = Layout(rows, low, high)
        generator = torch.Generator().manual_seed(0)
        random = torch.randint(0, 16, (3 * rows, inputs), dtype=torch.uint8, generator=generator)
        wanted = _packed_by_torch(random)
        found = layout.unpacked(wanted, inputs).transpose(1, 2).reshape(-1, inputs)
        same = layout.packed(in_pairs(random)).view(wanted.shape)
        if torch.equal(found, random) and torch.equal(same, wanted):
            return layout
    return None


def pack_int4_cuda(pairs: torch.Tensor) -> torch.Tensor | None:
    """Codes in pairs [out, in / 2] for the int4 kernel of CUDA; None where it cannot take them.

    The kernel wants bfloat16, compute capability 8.0 and whole tiles: 8 outputs, 32, 64 or 128
    inputs, as many as go in.
    """
    outputs, half = pairs.shape
    if torch.version.hip or not has_bfloat16(pairs.device) or outputs % 8:
        return None
    for tiles in (8, 4, 2):
        if 2 * half % (16 * tiles) == 0:
            found: torch.Tensor = _aten._convert_weight_to_int4pack(pairs, tiles)
            return found
    return None
