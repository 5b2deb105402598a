"""How a checkpoint says it was quantised: the `quantization_config` of its config.json.

No torch. Which tensors follow from it is in sources.py.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwen_desktop.engine.files import read_object
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.paths import is_frozen

CONFIG = "config.json"
OLD_CONFIG = "quantize_config.json"  # what AutoGPTQ wrote beside config.json, or instead of it

GPTQ, AWQ, FP8 = "gptq", "awq", "fp8"

BITSANDBYTES, COMPRESSED = "bitsandbytes", "compressed-tensors"

# Methods that need a package of their own, which transformers then reads the folder with: its
# module, by the name of the method and of the extra of ours that brings it.
EXTRAS: Mapping[str, str] = {BITSANDBYTES: "bitsandbytes", COMPRESSED: "compressed_tensors"}

_BITS = {GPTQ: (4, 8), AWQ: (4,)}


@dataclass(frozen=True)
class Quantisation:
    """What was done to the matrices of a checkpoint. `method` is quant_method in small letters."""

    method: str
    file: str  # the file that says so
    bits: int = 0  # of GPTQ and AWQ
    group: int = -1  # inputs that share a scale; -1 for all
    plain_zeros: bool = False  # GPTQ v2: zeros are stored as they are, not less one
    mixed: bool = False  # some modules differ in bits or group
    block: tuple[int, int] | None = None  # of FP8: outputs and inputs that share a scale
    said: Mapping[str, Any] = field(default_factory=dict)  # all of it, for a package of its own

    @property
    def packed(self) -> bool:
        """Whether the folder holds integer codes that can stay as they are."""
        return self.method in _BITS

    @property
    def extra(self) -> str:
        """The optional extra that brings the package for this method; "" where none is needed."""
        return self.method if self.method in EXTRAS else ""

    @property
    def words(self) -> str:
        """For people: "GPTQ Int4, groups of 128"."""
        name = self.method.upper() if self.method in (GPTQ, AWQ, FP8) else self.method
        if not self.packed:
            return name
        return f"{name} Int{self.bits}" + (f", groups of {self.group}" if self.group > 0 else "")


def quantisation_of(config: Mapping[str, Any], folder: Path) -> Quantisation | None:
    """What `config`, config.json of `folder`, or an older file says; None for a float checkpoint.

    Raises Known for a method that cannot be read, or one described by nonsense.
    """
    text = config.get("text_config")
    nested = text.get("quantization_config") if isinstance(text, dict) else None
    found, file = config.get("quantization_config") or nested, CONFIG
    if not found and (folder / OLD_CONFIG).is_file():
        found, file = read_object(folder / OLD_CONFIG), OLD_CONFIG
    if not found:
        return None
    if not isinstance(found, Mapping):
        raise nonsense(file, f"quantization_config is {found!r}"[:200])
    method = found.get("quant_method")
    if method is None:  # the old file names none; what bitsandbytes wrote at first neither
        by_bits = found.get("load_in_4bit") or found.get("load_in_8bit")
        method = BITSANDBYTES if by_bits else GPTQ if "bits" in found else None
    name = str(method).lower().replace("_", "-")
    if name in _BITS:
        return _groups(found, name, file)
    if name == FP8:
        return Quantisation(FP8, file, block=_block(found, file))
    if name in EXTRAS:
        return Quantisation(name, file, said={**found, "quant_method": name})
    raise unreadable_method(str(method), file)


def _groups(found: Mapping[str, Any], method: str, file: str) -> Quantisation:
    bits = found.get("bits", found.get("w_bit"))
    group = found.get("group_size", found.get("q_group_size", -1))
    layout = str(found.get("checkpoint_format") or found.get("format") or "gptq").lower()
    version = str(found.get("version") or "gemm").lower()
    if type(bits) is not int or type(group) is not int or (group != -1 and group < 1):
        raise nonsense(file, f"bits {bits!r}, group_size {group!r}"[:200])
    if bits not in _BITS[method]:
        raise unreadable_method(f"{method}, {bits} bit", file)
    if found.get("is_marlin_format") or (method == GPTQ and layout not in ("gptq", "gptq_v2")):
        raise unreadable_method(f"{method}, {layout}", file)
    if method == AWQ and version != "gemm":
        raise unreadable_method(f"{method}, {version}", file)
    return Quantisation(
        method,
        file,
        bits=bits,
        group=group,
        plain_zeros=method == AWQ or layout == "gptq_v2",
        mixed=bool(found.get("dynamic")),
    )


def _block(found: Mapping[str, Any], file: str) -> tuple[int, int] | None:
    block = found.get("weight_block_size")
    if block is None:
        return None  # one scale for a whole matrix
    if (
        not isinstance(block, list)
        or len(block) != 2
        or not all(type(size) is int and size > 0 for size in block)
    ):
        raise nonsense(file, f"weight_block_size {block!r}"[:200])
    return block[0], block[1]


def require_extra(how: Quantisation | None) -> None:
    """Raise Known where the package that this quantisation needs is not installed."""
    if how is None or not how.extra or importlib.util.find_spec(EXTRAS[how.method]) is not None:
        return
    remedy = QT_TRANSLATE_NOOP("errors", 'Install it: pip install "qwen-desktop[{method}]"')
    if is_frozen():  # nothing can be installed into it
        remedy = QT_TRANSLATE_NOOP(
            "errors",
            "This package of Qwen Desktop has none: get a GPTQ, AWQ or FP8 version of the model, "
            "or install Qwen Desktop by pip.",
        )
    raise Known(
        QT_TRANSLATE_NOOP("errors", "Weights quantised with {method} need a package of that name."),
        remedy,
        details=how.file,
        code="extra-missing",
        method=how.method,
    )


def unreadable_method(method: str, file: str) -> Known:
    """The sentence for weights quantised in a way that this program cannot read."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "Weights quantised this way cannot be read: {method}."),
        QT_TRANSLATE_NOOP("errors", "Get the original or a GPTQ, AWQ or FP8 version of the model."),
        details=file,
        code="quantisation-unknown",
        method=method,
        file=file,
    )


def nonsense(file: str, details: str) -> Known:
    """The sentence for a description of quantisation that cannot be right."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} does not say how the weights were quantised."),
        QT_TRANSLATE_NOOP("errors", "Download {file} again."),
        details=details,
        code="quantisation-broken",
        file=file,
    )
