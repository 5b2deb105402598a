"""Folders whose codes only a package of their own can read: transformers reads them with it."""

from __future__ import annotations

from typing import Any

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.engine.quantisation import COMPRESSED, Quantisation
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known


def foreign_config(how: Quantisation, asked: Precision) -> dict[str, Any]:
    """The quantization_config that transformers is to follow. Raises Known.

    This is the one key of its kind that is believed: it chooses a package that was installed for
    the purpose, and how that reads the weights.
    """
    if asked is not Precision.AUTO:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "Weights quantised with {method} run in no other way."),
            QT_TRANSLATE_NOOP("errors", "Choose the precision “auto”."),
            code="precision-fixed",
            method=how.method,
        )
    found = dict(how.said)
    if how.method == COMPRESSED:
        found["dequantize"] = True  # packed it fails in the first forward on a CPU
    return found


def unreadable_by_package(how: Quantisation, error: Exception) -> Known:
    """The sentence for whatever a package says of weights that it cannot read."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The weights cannot be read with {method}."),
        QT_TRANSLATE_NOOP("errors", "Get the original or a GPTQ, AWQ or FP8 version of the model."),
        details=f"{type(error).__name__}: {error}",
        code="extra-failed",
        method=how.method,
    )
