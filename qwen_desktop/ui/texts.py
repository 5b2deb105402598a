"""Numbers, moments and choices as people read them. QtCore only."""

from __future__ import annotations

import time

from PySide6.QtCore import QCoreApplication, QDateTime, QLocale

from qwen_desktop.chat.checkpoint import KvFormat, LoadPlan, Precision
from qwen_desktop.errors import QT_TRANSLATE_NOOP

CONTEXT = "texts"
KIB, MIB, GIB = 2**10, 2**20, 2**30

_YESTERDAY = QT_TRANSLATE_NOOP("texts", "Yesterday")
_SECONDS = QT_TRANSLATE_NOOP("texts", "{seconds} s")
_MINUTES = QT_TRANSLATE_NOOP("texts", "{minutes} min {seconds} s")
_AS_STORED = QT_TRANSLATE_NOOP("texts", "as stored")
_AUTO_IS = QT_TRANSLATE_NOOP("texts", "Auto ({precision})")
_LAYER = QT_TRANSLATE_NOOP("texts", "layer {number}")
_LAYERS = QT_TRANSLATE_NOOP("texts", "layers {first}–{last}")
_AS_MODEL = QT_TRANSLATE_NOOP("texts", "As the model")
_TOKENS = QT_TRANSLATE_NOOP("texts", "{count} tokens")
_STRETCHED = QT_TRANSLATE_NOOP("texts", "YaRN ×{factor}")
_PRECISIONS = {
    Precision.AUTO: QT_TRANSLATE_NOOP("texts", "Auto"),
    Precision.INT8: QT_TRANSLATE_NOOP("texts", "8-bit"),
    Precision.INT4: QT_TRANSLATE_NOOP("texts", "4-bit"),
}


def _tr(text: str) -> str:
    return QCoreApplication.translate(CONTEXT, text)


def size_text(size: int, locale: QLocale) -> str:
    """A number of bytes for people, in GiB or MiB."""
    if size >= GIB / 10:
        return f"{locale.toString(size / GIB, 'f', 1)} GiB"
    if size >= 10 * MIB or size == 0:
        return f"{locale.toString(round(size / MIB))} MiB"
    return f"{locale.toString(size / MIB, 'f', 1)} MiB"


def small_size_text(size: int, locale: QLocale) -> str:
    """The same for what may be less than a mebibyte."""
    if size >= MIB:
        return size_text(size, locale)
    if size >= KIB:
        return f"{locale.toString(size / KIB, 'f', 0 if size >= 10 * KIB else 1)} KiB"
    return f"{locale.toString(size)} B"


def seconds_text(seconds: float, decimals: int = 1) -> str:
    """The number of a short time in seconds; below a tenth of one to its thousandths."""
    if seconds < 0.1:
        decimals = 3
    return QLocale().toString(float(seconds), "f", decimals)


def duration_text(seconds: int) -> str:
    """A number of seconds: "8 s", "2 min 5 s"."""
    locale = QLocale()
    words = _SECONDS if seconds < 60 else _MINUTES
    return _tr(words).format(
        minutes=locale.toString(seconds // 60), seconds=locale.toString(seconds % 60)
    )


def count_text(count: int, locale: QLocale) -> str:
    """A number of parameters: "4.0B", "494M", "32K", "12"."""
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= unit:
            digits = 1 if count < 10 * unit else 0
            return f"{locale.toString(count / unit, 'f', digits)}{letter}"
    return locale.toString(count)


def context_text(tokens: int, locale: QLocale) -> str:
    """A context length in a narrow column: "32k"; 1,000 and odd ones in full."""
    if tokens >= 1024 and tokens % 1024 == 0:
        return f"{locale.toString(tokens // 1024)}k"
    return locale.toString(tokens)


def when_text(moment: float, locale: QLocale) -> str:
    """How long ago something was, in Unix seconds: today by the time, else by the date."""
    if moment <= 0:
        return ""
    then = QDateTime.fromSecsSinceEpoch(int(moment))
    days = then.date().daysTo(QDateTime.fromSecsSinceEpoch(int(time.time())).date())
    if days <= 0:
        return locale.toString(then.time(), QLocale.FormatType.ShortFormat)
    if days == 1:
        return _tr(_YESTERDAY)
    return locale.toString(then.date(), QLocale.FormatType.ShortFormat)


def precision_text(precision: Precision) -> str:
    """A precision for people."""
    words = _PRECISIONS.get(precision)
    return _tr(words) if words else precision.name


def plan_precision_text(plan: LoadPlan) -> str:
    """The precision of a plan, saying what AUTO came to."""
    if plan.precision is not Precision.AUTO:
        return precision_text(plan.precision)
    came_to = _tr(_AS_STORED) if plan.packed else precision_text(plan.runs_in)
    return _tr(_AUTO_IS).format(precision=came_to)


def layers_text(first: int, last: int) -> str:
    """Which decoder layers; empty for none."""
    if first < 0:
        return ""
    if first == last:
        return _tr(_LAYER).format(number=first)
    return _tr(_LAYERS).format(first=first, last=last)


def kv_text(kv: KvFormat) -> str:
    """What keys and values are kept in."""
    return _tr(_AS_MODEL) if kv is KvFormat.MODEL else precision_text(Precision.INT8)


def stretch_text(rope_factor: float, locale: QLocale) -> str:
    """How far the context is stretched; empty where it is not."""
    if rope_factor <= 1:
        return ""
    return _tr(_STRETCHED).format(factor=locale.toString(rope_factor, "g", 3))


def room_text(tokens: int, rope_factor: float, locale: QLocale) -> str:
    """How much a context holds, and whether that is by stretching."""
    words = _tr(_TOKENS).format(count=locale.toString(tokens))
    stretched = stretch_text(rope_factor, locale)
    return f"{words} · {stretched}" if stretched else words
