"""Where each weight of a checkpoint comes from: one stored tensor, or several that make it up.

No torch. A quantised matrix is stored as three or four tensors (GPTQ, AWQ) or two (FP8); here they
become one source with the name and shape that the weight has in the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Union

from qwen_desktop.engine.quantisation import (
    AWQ,
    COMPRESSED,
    CONFIG,
    FP8,
    GPTQ,
    Quantisation,
    nonsense,
)
from qwen_desktop.engine.shards import TensorEntry
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

WORD = 32  # bits of the integers that hold codes

_FP8 = "F8_E4M3"
_SCALE = "_scale_inv"
_FLOATS = ("F16", "BF16", "F32")
EXPERT_MATRICES = ("gate_proj", "up_proj", "down_proj")
# The matrices of all experts of a layer in one tensor; gates lie before the others.
_KINDS = {"gate_up_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)}
_FUSED = re.compile(r"(.*\.experts\.)(gate_up_proj|down_proj)")
_SINGLE = re.compile(r"(.*\.experts\.)(\d+)\.(gate_proj|up_proj|down_proj)\.weight")
# What tells a matrix in several tensors, and what else belongs to it.
_CODES = ".qweight"
_PARTS = (_CODES, ".qzeros", ".scales", ".g_idx")


@dataclass(frozen=True)
class FloatSource:
    """A weight stored as it is."""

    name: str
    shape: tuple[int, ...]
    entry: TensorEntry

    @property
    def entries(self) -> tuple[TensorEntry, ...]:
        """What has to be read."""
        return (self.entry,)

    @property
    def dtype(self) -> str:
        """The dtype it has, as in the headers."""
        return self.entry.dtype


@dataclass(frozen=True)
class PackedSource:
    """A matrix of `shape` [out, in] as integer codes: weight = (code - zero) * scale.

    GPTQ packs codes along the inputs, AWQ along the outputs and in another order.
    """

    name: str
    shape: tuple[int, int]
    method: str  # GPTQ or AWQ
    bits: int
    group: int  # inputs that share a scale
    plain_zeros: bool  # else they are stored less one
    codes: TensorEntry
    zeros: TensorEntry
    scales: TensorEntry
    groups: TensorEntry | None  # the group of each input, int [in]; None for input // group

    @property
    def entries(self) -> tuple[TensorEntry, ...]:
        """What has to be read."""
        found = (self.codes, self.zeros, self.scales)
        return (*found, self.groups) if self.groups else found

    @property
    def dtype(self) -> str:
        """The dtype of its scales, as in the headers."""
        return self.scales.dtype


@dataclass(frozen=True)
class BlockSource:
    """Weights in 8-bit floats with a scale per block of `block` of the last two dimensions."""

    name: str
    shape: tuple[int, ...]
    block: tuple[int, int]
    codes: TensorEntry
    scales: TensorEntry

    @property
    def entries(self) -> tuple[TensorEntry, ...]:
        """What has to be read."""
        return (self.codes, self.scales)

    @property
    def dtype(self) -> str:
        """What such weights are computed in where nothing else is asked for."""
        return "BF16"


@dataclass(frozen=True)
class ExpertsSource:
    """The matrices of all experts of a layer as one weight of the model.

    `experts` are in the order in which they lie there: in what joins gates and the matrices they
    gate, each gate comes first.
    """

    name: str
    shape: tuple[int, ...]
    experts: tuple[FloatSource | PackedSource | BlockSource, ...]

    @property
    def entries(self) -> tuple[TensorEntry, ...]:
        """What has to be read."""
        return tuple(entry for expert in self.experts for entry in expert.entries)

    @property
    def dtype(self) -> str:
        """The dtype of the first of them, as in the headers."""
        return self.experts[0].dtype


Single = Union[FloatSource, PackedSource, BlockSource]  # noqa: UP007 - evaluated on Python 3.10
Source = Union[FloatSource, PackedSource, BlockSource, ExpertsSource]  # noqa: UP007 - the same


def sources_of(
    entries: Mapping[str, TensorEntry], quantisation: Quantisation | None
) -> dict[str, Source]:
    """The weights of a checkpoint by name. Raises Known where the tensors cannot be what they say.

    Packed tensors without any word of quantisation are refused too: v1 and v2 look alike.
    """
    if quantisation is not None and quantisation.extra:
        return {name: _float(name, entry) for name, entry in entries.items()}
    found: dict[str, Source] = {}
    taken: set[str] = set()
    for name, entry in entries.items():
        if name.endswith(_CODES):
            source: Source = _packed(name[: -len(_CODES)], entries, quantisation)
        elif entry.dtype == _FP8:
            source = _block(entry, entries, quantisation)
        else:
            continue
        found[source.name] = source
        taken.update(part.name for part in source.entries)
    for name, entry in entries.items():
        if name not in taken and name not in found:
            if name.endswith(_PARTS):
                raise _incomplete(name.rpartition(".")[0], _CODES[1:], entry)
            found[name] = _float(name, entry)
    if quantisation is not None and not taken:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{file} says that weights are quantised: none is."),
            QT_TRANSLATE_NOOP("errors", "Get config.json and weights of the same checkpoint."),
            details=quantisation.words,
            code="quantisation-mismatch",
            file=quantisation.file,
        )
    return found


def single_experts(source: Source) -> tuple[Source, ...]:
    """The matrices of all experts that float `source` holds in one tensor, else `source` alone.

    They get the names that other checkpoints store them by: "experts.3.gate_proj.weight".
    """
    count = expert_count(source)
    return tuple(single_expert(source, number) for number in range(count)) or (source,)


def expert_count(source: Source) -> int:
    """How many matrices of experts float `source` holds in one tensor; 0 for another weight."""
    found = _FUSED.fullmatch(source.name)
    if found is None or not isinstance(source, FloatSource) or len(source.shape) != 3:
        return 0
    kinds = len(_KINDS[found.group(2)])
    if source.entry.count == 0 or source.shape[1] % kinds or source.entry.pieces != 1:
        return 0
    return source.shape[0] * kinds


def single_expert(source: Source, number: int) -> FloatSource:
    """Matrix `number` of those that `source` holds. Raises ValueError where it holds none."""
    found = _FUSED.fullmatch(source.name)
    if found is None or not isinstance(source, FloatSource):
        raise ValueError(f"no experts in {source.name}")
    kinds = _KINDS[found.group(2)]
    name = f"{found.group(1)}{number // len(kinds)}.{kinds[number % len(kinds)]}.weight"
    shape = (source.shape[1] // len(kinds), source.shape[2])
    size = source.entry.nbytes // (source.shape[0] * len(kinds))
    start = source.entry.start + number * size
    entry = replace(source.entry, name=name, shape=shape, start=start, nbytes=size)
    return FloatSource(name, shape, entry)


def layers_of_experts(
    sources: Mapping[str, Source],
) -> dict[str, dict[str, tuple[Single, ...]]]:
    """Matrices stored per expert, by what their names begin with and by kind, experts in order.

    Kinds are those of EXPERT_MATRICES. Only layers that are whole: of others transformers is to say
    what is missing.
    """
    found: dict[str, dict[tuple[str, int], Single]] = {}
    for name, source in sources.items():
        matched = _SINGLE.fullmatch(name)
        if matched and not isinstance(source, ExpertsSource) and len(source.shape) == 2:
            prefix, number, kind = matched.groups()
            found.setdefault(prefix, {})[kind, int(number)] = source
    layers: dict[str, dict[str, tuple[Single, ...]]] = {}
    for prefix, experts in found.items():
        numbers = range(len(experts) // len(EXPERT_MATRICES))
        of_kinds = {
            kind: tuple(experts[kind, n] for n in numbers if (kind, n) in experts)
            for kind in EXPERT_MATRICES
        }
        if all(
            len(of_kind) == len(numbers) and len({one.shape for one in of_kind}) == 1
            for of_kind in of_kinds.values()
        ):
            layers[prefix] = of_kinds
    return layers


def foreign_bytes(source: Source, how: Quantisation) -> int:
    """Bytes that `source` takes once the package of its method has read it.

    compressed-tensors is asked for floats: its packed linears do not run everywhere.
    """
    entries = source.entries
    if how.method != COMPRESSED:
        return sum(entry.nbytes for entry in entries)
    found = 0
    for entry in entries:
        if entry.dtype == "I32" and entry.name.endswith("_packed"):
            found += entry.count * WORD // _foreign_bits(how) * 2
        elif entry.dtype in ("I8", _FP8):
            found += entry.count * 2
        elif not entry.name.endswith(("_scale", "_zero_point", "_shape", "_g_idx")):
            found += entry.nbytes
    return found


def _foreign_bits(how: Quantisation) -> int:
    groups = how.said.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        bits = weights.get("num_bits") if isinstance(weights, Mapping) else None
        if type(bits) is int and 0 < bits <= WORD:
            return bits
    return 4


def _float(name: str, entry: TensorEntry) -> FloatSource:
    return FloatSource(name, entry.shape, entry)


def _packed(
    prefix: str, entries: Mapping[str, TensorEntry], quantisation: Quantisation | None
) -> PackedSource:
    codes = entries[prefix + _CODES]
    if quantisation is None:
        raise nonsense(CONFIG, codes.name)
    if not quantisation.packed:
        raise _disagree(quantisation.method, prefix, codes.name)
    for suffix in (".qzeros", ".scales"):
        if prefix + suffix not in entries:
            raise _incomplete(prefix, suffix[1:], codes)
    zeros, scales = entries[prefix + ".qzeros"], entries[prefix + ".scales"]
    groups = entries.get(prefix + ".g_idx") if quantisation.method == GPTQ else None
    method = quantisation.method
    parts = {"qweight": codes, "qzeros": zeros, "scales": scales}
    told = ", ".join(f"{key} {part.dtype} {list(part.shape)}" for key, part in parts.items())
    if not (
        all(len(part.shape) == 2 and part.count > 0 for part in parts.values())
        and codes.dtype == zeros.dtype == "I32"
        and scales.dtype in _FLOATS
        and zeros.shape[0] == scales.shape[0]
    ):
        raise _disagree(method, prefix, told)
    # Zeros have as many bits as the codes: the shapes say how many, whatever config.json says.
    outputs = scales.shape[1]
    bits = zeros.shape[1] * WORD // outputs
    if bits not in (4, 8) or zeros.shape[1] * WORD != outputs * bits:
        raise _disagree(method, prefix, told)
    per_word = WORD // bits
    if method == AWQ:
        inputs, rows = codes.shape[0], codes.shape[1] * per_word
    else:
        inputs, rows = codes.shape[0] * per_word, codes.shape[1]
    group = inputs if quantisation.group == -1 else quantisation.group
    if quantisation.mixed and scales.shape[0] != -(-inputs // group):
        group = max(1, inputs // scales.shape[0])
    fits = (
        rows == outputs
        and (quantisation.mixed or bits == quantisation.bits)
        and scales.shape[0] == -(-inputs // group)
        and (groups is None or (groups.shape == (inputs,) and groups.dtype in ("I32", "I64")))
    )
    if not fits:
        expected = f"{quantisation.bits} bit, groups of {quantisation.group}"
        raise _disagree(method, prefix, f"{told}; {quantisation.file}: {expected}")
    return PackedSource(
        prefix + ".weight",
        (outputs, inputs),
        method,
        bits,
        group,
        quantisation.plain_zeros,
        codes,
        zeros,
        scales,
        groups,
    )


def _block(
    codes: TensorEntry, entries: Mapping[str, TensorEntry], quantisation: Quantisation | None
) -> BlockSource:
    if quantisation is None:
        raise nonsense(CONFIG, f"{codes.name}: {codes.dtype}")
    if quantisation.method != FP8:
        raise _disagree(quantisation.method, codes.name, codes.dtype)
    scales = entries.get(codes.name + _SCALE)
    if scales is None:
        raise _incomplete(codes.name, codes.name.rpartition(".")[2] + _SCALE, codes)
    told = f"{list(codes.shape)}, scales {scales.dtype} {list(scales.shape)}"
    if len(codes.shape) < 2 or codes.count == 0 or scales.dtype not in _FLOATS:
        raise _disagree(FP8, codes.name, told)
    rows, columns = codes.shape[-2:]
    block = quantisation.block or (rows, columns)
    expected = (*codes.shape[:-2], -(-rows // block[0]), -(-columns // block[1]))
    whole = quantisation.block is None and scales.count == 1
    if scales.shape != expected and not whole:
        raise _disagree(FP8, codes.name, f"{told}; {quantisation.file}: blocks of {block}")
    return BlockSource(codes.name, codes.shape, block, codes, scales)


def _incomplete(prefix: str, part: str, entry: TensorEntry) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "The quantised weight {tensor} is incomplete: no {part}."),
        QT_TRANSLATE_NOOP("errors", "Download the weights again."),
        details=str(entry.shard),
        code="quantisation-incomplete",
        tensor=prefix,
        part=part,
    )


def _disagree(method: str, tensor: str, details: str) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "The weight {tensor} is not quantised as said ({method})."),
        QT_TRANSLATE_NOOP("errors", "Get config.json and weights of the same checkpoint."),
        details=details,
        code="quantisation-mismatch",
        tensor=tensor,
        method=method,
    )
