"""Which precision a checkpoint runs in, and what that makes of its weights. No torch.

The doctor predicts with these rules and the loader follows them, so that what was shown before
loading is what is taken.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.engine.sources import PackedSource, Source, expert_count, single_expert

# Inputs that share scale and zero of an int4 weight: small groups lose least, at 5 bits in all.
INT4_GROUP = 32
# What torch's int4 kernels ask of the number of outputs, and the groups they know.
INT4_ROWS = 16
INT4_GROUPS = (256, 128, 64, 32)

# Largest model for which a CPU runs 16-bit weights in float32, where nothing is lost by it. Larger
# ones keep 16 bits: decode reads half as many bytes, and where the CPU has no units for bfloat16 a
# prompt is read by way of floats (halves.py).
FLOAT32_PARAMETERS = 20_000_000

ITEM_BYTES = {Precision.FP32: 4, Precision.BF16: 2, Precision.FP16: 2}

# The matrices worth packing, by transformers' names: projections of decoder layers, those of single
# experts among them. Routers, gates and the small inputs of linear attention keep their precision;
# they decide much and weigh little.
_PROJECTION = re.compile(r"(?:^|\.)layers\.\d+\.(?:.*\.)?(?:\w+_proj|in_proj_(?:qkvz?|z))\.weight")


# Embeddings and head. Where a CPU runs packed weights, these have 8 bits: they are the largest
# matrices of a small model, and every token reads one of them.
EMBEDDINGS, HEAD = "model.embed_tokens.weight", "lm_head.weight"
TABLES = (EMBEDDINGS, HEAD)
_TABLE_STEP = 64  # inputs that the compiled step rounds together


@dataclass(frozen=True)
class Form:
    """How a matrix lies in memory as integer codes.

    Its parts: codes; scales, one per output and group of `group` inputs (with int4 a pair of scale
    and zero, 16 bits each); where `own`, the folder's codes: with int8 a zero (16 bits) beside a
    scale of 32 bits; where `ordered` the order in which inputs are taken (32 bits each).
    """

    bits: int
    group: int
    own: bool = False
    ordered: bool = False

    def nbytes(self, shape: tuple[int, ...]) -> int:
        """Bytes of a matrix of `shape` [out, in]."""
        count, scales = math.prod(shape), math.prod(shape) // self.group
        order = 4 * shape[1] if self.ordered else 0
        if self.bits == 4:
            return count // 2 + 4 * scales + order
        return count + (6 if self.own else 2) * scales + order


def packs(name: str, shape: tuple[int, ...], precision: Precision) -> bool:
    """Whether the float weight `name` of `shape` [out, in] is packed in `precision`."""
    return _packed_form(name, shape, precision) is not None


def weight_bytes(name: str, shape: tuple[int, ...], precision: Precision) -> int:
    """Bytes the float weight `name` takes in `precision` (not AUTO) once it is loaded."""
    form = _packed_form(name, shape, precision)
    return form.nbytes(shape) if form else math.prod(shape) * ITEM_BYTES.get(precision, 2)


def form_of(
    source: Source, precision: Precision, *, own: bool = False, tables: bool = False
) -> Form | None:
    """How the weight of `source` lies in memory in `precision` (not AUTO); None for floats.

    A folder's own codes are kept where `precision` has as many bits. With `own` they are kept in
    any case, and what the folder left floats stays so too. `tables`: whether `TABLES` are packed.
    """
    if source.name in TABLES and tables and not own and _packing(precision):
        fits = len(source.shape) == 2 and source.shape[1] % _TABLE_STEP == 0
        return Form(8, source.shape[1]) if fits else None
    if not isinstance(source, PackedSource):
        return None if own else _packed_form(source.name, source.shape, precision)
    if own or (precision is Precision.INT4 and source.bits == 4):
        return _own_form(source)
    if precision is Precision.INT8 and source.bits == 8:
        return _own_form(source)
    return _packed_form(source.name, source.shape, precision)


def packable(source: Source) -> bool:
    """Whether the bytes of `source` depend on more than their number in any precision."""
    if isinstance(source, PackedSource) or source.name in TABLES:
        return True
    one = single_expert(source, 0) if expert_count(source) else source
    return packs(one.name, one.shape, Precision.INT8)


def source_bytes(
    source: Source, precision: Precision, *, own: bool = False, tables: bool = False
) -> int:
    """Bytes the weight of `source` takes once it is loaded. See `form_of`."""
    if len(source.shape) == 3 and not own and _packing(precision):
        count = expert_count(source)  # all of one form: gates are as large as what they gate
        if count and (form := form_of(single := single_expert(source, 0), precision)):
            return form.nbytes(single.shape) * count
    form = form_of(source, precision, own=own, tables=tables)
    if form:
        return form.nbytes(source.shape)
    return math.prod(source.shape) * ITEM_BYTES.get(precision, 2)


def _packing(precision: Precision) -> bool:
    return precision in (Precision.INT4, Precision.INT8)


def _matrix(name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and bool(_PROJECTION.search(name))


def _packed_form(name: str, shape: tuple[int, ...], precision: Precision) -> Form | None:
    if not _packing(precision) or not _matrix(name, shape):
        return None
    if precision is Precision.INT8:
        return Form(8, shape[1])
    fits = shape[0] % INT4_ROWS == 0 and shape[1] % INT4_GROUP == 0
    return Form(4, INT4_GROUP) if fits else None


def _own_form(source: PackedSource) -> Form | None:
    """The form that keeps the codes of `source`; None where none can: it becomes floats then."""
    outputs, inputs = source.shape
    if not _matrix(source.name, source.shape) or inputs % source.group:
        return None
    ordered = source.groups is not None
    if source.bits == 8:
        return Form(8, source.group, own=True, ordered=ordered)
    # A larger group is several of a size that the kernels know, with the same scale.
    group = next((g for g in INT4_GROUPS if source.group % g == 0), None)
    if group is None or outputs % INT4_ROWS:
        return None
    return Form(4, group, own=True, ordered=ordered)


def settle(
    asked: Precision,
    *,
    stored: str,
    parameters: int,
    device_kind: str,
    free: int,
    has_bfloat16: bool,
    codes: int = 0,
    foreign: bool = False,
) -> Precision:
    """What `asked` comes to for float weights `stored` as in the headers ("BF16").

    AUTO keeps the checkpoint's precision on an accelerator (float16 for bfloat16 where the card
    has none: `has_bfloat16`). On a CPU 16-bit weights become float32 up to `FLOAT32_PARAMETERS`
    where that fits comfortably into `free` bytes, else bfloat16. A folder of integer `codes` of
    so many bits keeps them. What a `foreign` package reads is 16-bit floats, or runs among them.
    """
    if asked is not Precision.AUTO:
        return asked
    if codes:
        return Precision.INT4 if codes == 4 else Precision.INT8
    if foreign:
        return Precision.BF16 if has_bfloat16 else Precision.FP16
    kept = {"BF16": Precision.BF16, "F16": Precision.FP16}.get(stored, Precision.FP32)
    if device_kind != "cpu":
        return Precision.FP16 if kept is Precision.BF16 and not has_bfloat16 else kept
    comfortable = 4 * parameters < 0.6 * free
    if parameters <= FLOAT32_PARAMETERS and comfortable:
        return Precision.FP32
    return kept if kept is Precision.FP32 and comfortable else Precision.BF16
