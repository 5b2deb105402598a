"""Which precision a checkpoint runs in, and what that makes of its weights. No torch.

The doctor predicts with these rules and the loader follows them, so that what was shown before
loading is what is taken.
"""

from __future__ import annotations

import re

from qwen_desktop.chat.checkpoint import Precision

# Inputs that share scale and zero of an int4 weight: small groups lose least, at 5 bits in all.
INT4_GROUP = 32
# What torch's int4 kernels ask of the number of outputs.
INT4_ROWS = 16

# Largest model for which a CPU runs 16-bit weights in float32: without AMX or AVX-512-BF16 the
# 16-bit matrix product takes 3.6 times as long, so prefill gains more than decode loses. Above
# it, memory and the speed of decode (bound by bytes read) count for more.
FLOAT32_PARAMETERS = 1_000_000_000

ITEM_BYTES = {Precision.FP32: 4, Precision.BF16: 2, Precision.FP16: 2}

# The matrices worth packing, by transformers' names: projections of decoder layers. Routers, gates
# and the small inputs of linear attention keep their precision; they decide much and weigh little.
_PROJECTION = re.compile(r"(?:^|\.)layers\.\d+\.(?:.*\.)?(?:\w+_proj|in_proj_(?:qkvz?|z))\.weight")


def packs(name: str, shape: tuple[int, ...], precision: Precision) -> bool:
    """Whether the weight `name` of `shape` [out, in] is packed in `precision`."""
    if len(shape) != 2 or ".experts." in name or not _PROJECTION.fullmatch(name):
        return False
    if precision is Precision.INT8:
        return True
    return precision is Precision.INT4 and shape[0] % INT4_ROWS == 0 and shape[1] % INT4_GROUP == 0


def weight_bytes(name: str, shape: tuple[int, ...], precision: Precision) -> int:
    """Bytes the weight `name` takes in `precision` (not AUTO) once it is loaded."""
    count = 1
    for size in shape:
        count *= size
    if not packs(name, shape, precision):
        return count * ITEM_BYTES.get(precision, 2)
    outputs = shape[0]
    if precision is Precision.INT8:
        return count + 2 * outputs  # a scale per output
    return count // 2 + 4 * (count // INT4_GROUP)  # scale and zero per group


def settle(
    asked: Precision,
    *,
    stored: str,
    parameters: int,
    device_kind: str,
    free: int,
    has_bfloat16: bool,
) -> Precision:
    """What `asked` comes to for float weights `stored` as in the headers ("BF16").

    AUTO keeps the checkpoint's precision on an accelerator (float16 for bfloat16 where the card
    has none: `has_bfloat16`). On a CPU 16-bit weights become float32 up to `FLOAT32_PARAMETERS`
    where that fits comfortably into `free` bytes, else bfloat16.
    """
    if asked is not Precision.AUTO:
        return asked
    kept = {"BF16": Precision.BF16, "F16": Precision.FP16}.get(stored, Precision.FP32)
    if device_kind != "cpu":
        return Precision.FP16 if kept is Precision.BF16 and not has_bfloat16 else kept
    comfortable = 4 * parameters < 0.6 * free
    if parameters <= FLOAT32_PARAMETERS and comfortable:
        return Precision.FP32
    return kept if kept is Precision.FP32 and comfortable else Precision.BF16
