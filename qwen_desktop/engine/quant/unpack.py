"""Stored quantised tensors to numbers: exact dequantisation, the reference for everything packed.

All of it works on main memory and goes through a matrix in blocks of outputs, so that what it
needs besides its result stays small.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch

from qwen_desktop.engine.quantisation import AWQ
from qwen_desktop.engine.shards import TensorEntry
from qwen_desktop.engine.sources import BlockSource, PackedSource
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

BLOCK = 2**20  # elements of a matrix that are worked on at a time: what stays in a cache

# Where AWQ puts the codes of eight outputs in a word, lowest bits first: output 0 lies in place 0,
# output 1 in place 4, and so on.
_AWQ_PLACES = (0, 4, 1, 5, 2, 6, 3, 7)


class Reader(Protocol):
    """Gives stored tensors, for as long as somebody waits for them."""

    def read(self, entry: TensorEntry) -> torch.Tensor:
        """The tensor of `entry` in main memory. Raises Known, Cancelled."""

    def check(self) -> None:
        """Raises Cancelled where the work is no longer wanted."""


@dataclass(frozen=True)
class Codes:
    """A matrix [out, in]: weight = (code - zero) * scale."""

    codes: torch.Tensor  # uint8 [out, in]
    zeros: torch.Tensor  # int16 [groups, out]
    scales: torch.Tensor  # float32 [groups, out]
    group: int
    # The group of each input, int64 [in]; None for input // group.
    groups: torch.Tensor | None


def read_codes(source: PackedSource, reader: Reader) -> Codes:
    """The codes of `source`. Raises Known where they name groups that are not there."""
    order = None
    if source.groups is not None:
        order = reader.read(source.groups).long()
        if bool((order < 0).any()) or bool((order >= source.scales.shape[0]).any()):
            raise strange(source.groups, "a group that is not there")
        if torch.equal(order, torch.arange(len(order)) // source.group):
            order = None
    scales = _scales(source.scales, reader)
    zeros = _across(reader.read(source.zeros), source).to(torch.int16)
    codes = reader.read(source.codes)
    if source.method == AWQ:
        unpacked = torch.empty(source.shape, dtype=torch.uint8)
        step = max(1, BLOCK // source.shape[0])
        for first in range(0, source.shape[1], step):
            reader.check()
            unpacked[:, first : first + step] = _across(codes[first : first + step], source).T
    else:
        unpacked = _down(codes, source.bits, reader)
    if not source.plain_zeros:
        zeros += 1
    return Codes(unpacked, zeros, scales, source.group, order)


def _scales(entry: TensorEntry, reader: Reader) -> torch.Tensor:
    scales = reader.read(entry).float()
    if not bool(torch.isfinite(scales).all()):
        raise strange(entry, "a scale that is no number")
    return scales


def _nibbles(words: torch.Tensor, bits: int) -> torch.Tensor:
    """int32 [..., n] to uint8 [..., n, codes per word], lowest bits first."""
    octets = words.contiguous().view(torch.uint8).view(*words.shape, 4)
    if bits == 8:
        return octets
    return torch.stack((octets & 15, octets >> 4), dim=-1).flatten(-2)


def _across(words: torch.Tensor, source: PackedSource) -> torch.Tensor:
    """int32 [rows, out * bits / 32] to uint8 [rows, out]."""
    found = _nibbles(words, source.bits)
    if source.method == AWQ:
        found = found[..., list(_AWQ_PLACES)]
    return found.flatten(-2)


def _down(words: torch.Tensor, bits: int, reader: Reader) -> torch.Tensor:
    """int32 [in * bits / 32, out] to uint8 [out, in]."""
    outputs = words.shape[1]
    found = torch.empty((outputs, words.shape[0] * 32 // bits), dtype=torch.uint8)
    step = max(1, BLOCK // max(1, found.shape[1]))
    for first in range(0, outputs, step):
        reader.check()
        some = words[:, first : first + step].T
        found[first : first + step] = _nibbles(some, bits).flatten(-2)
    return found


def dense(source: PackedSource | BlockSource, dtype: torch.dtype, reader: Reader) -> torch.Tensor:
    """The weight of `source`, dequantised in float32 and rounded to `dtype`. Raises Known."""
    if isinstance(source, BlockSource):
        return _from_blocks(source, dtype, reader)
    codes = read_codes(source, reader)
    found = torch.empty(source.shape, dtype=dtype)
    for first, last, block in blocks(codes):
        reader.check()
        found[first:last] = block
    return found


def blocks(codes: Codes) -> Iterator[tuple[int, int, torch.Tensor]]:
    """`codes` as float32 in blocks of outputs: first, last (not included), [last - first, in]."""
    outputs, inputs = codes.codes.shape
    groups = codes.groups
    even = groups is None and inputs % codes.group == 0
    if groups is None:
        groups = torch.arange(inputs) // codes.group
    step = max(1, BLOCK // inputs)
    for first in range(0, outputs, step):
        last = min(first + step, outputs)
        values = codes.codes[first:last].float()
        zeros, scales = codes.zeros[:, first:last].T.float(), codes.scales[:, first:last].T
        if even:
            grouped = values.view(last - first, -1, codes.group)
            grouped.sub_(zeros.unsqueeze(-1)).mul_(scales.unsqueeze(-1))
        else:
            values.sub_(zeros[:, groups]).mul_(scales[:, groups])
        yield first, last, values


def _from_blocks(source: BlockSource, dtype: torch.dtype, reader: Reader) -> torch.Tensor:
    scales = _scales(source.scales, reader)
    codes = reader.read(source.codes)
    found = torch.empty(source.shape, dtype=dtype)
    height, width = source.block
    rows, columns = source.shape[-2:]
    scales = scales.reshape(-1, -(-rows // height), -(-columns // width))
    matrices = zip(
        codes.reshape(-1, rows, columns), found.view(-1, rows, columns), scales, strict=True
    )
    step = max(1, BLOCK // (height * columns)) * height
    for stored, made, scale in matrices:
        wide = scale.repeat_interleave(width, dim=1)[:, :columns]
        for first in range(0, rows, step):
            reader.check()
            some = stored[first : first + step].float()
            high = wide[first // height : -(-(first + len(some)) // height)]
            some *= high.repeat_interleave(height, dim=0)[: len(some)]
            made[first : first + step] = some
    return found


def strange(entry: TensorEntry, details: str) -> Known:
    """The sentence for a quantised tensor with values that cannot be meant."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} is damaged: {tensor} has impossible values."),
        QT_TRANSLATE_NOOP("errors", "Download this file again."),
        details=details,
        code="weights-damaged",
        file=entry.shard.name,
        tensor=entry.name,
    )
