"""What an answer took, in words: for the line under it, its tooltip and the details."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QLocale

from qwen_desktop.chat.messages import Message
from qwen_desktop.errors import QT_TRANSLATE_NOOP
from qwen_desktop.ui.texts import seconds_text, size_text

CONTEXT = "statistics"

_PROMPT = QT_TRANSLATE_NOOP("statistics", "Prompt")
_REUSED = QT_TRANSLATE_NOOP("statistics", "Reused from the cache")
_PREFILLED = QT_TRANSLATE_NOOP("statistics", "Read anew")
_THINKING = QT_TRANSLATE_NOOP("statistics", "Thinking")
_THOUGHT = QT_TRANSLATE_NOOP("statistics", "Time spent thinking")
_ANSWER = QT_TRANSLATE_NOOP("statistics", "Answer")
_FIRST = QT_TRANSLATE_NOOP("statistics", "Time to first token")
_READING = QT_TRANSLATE_NOOP("statistics", "Reading speed")
_WRITING = QT_TRANSLATE_NOOP("statistics", "Writing speed")
_PEAK = QT_TRANSLATE_NOOP("statistics", "Peak memory")
_TOKEN = QT_TRANSLATE_NOOP("statistics", "{count} token")
_TOKENS = QT_TRANSLATE_NOOP("statistics", "{count} tokens")
_SECONDS = QT_TRANSLATE_NOOP("statistics", "{seconds} s")
_SPEED = QT_TRANSLATE_NOOP("statistics", "{speed} tok/s")


def _tr(text: str) -> str:
    return QCoreApplication.translate(CONTEXT, text)


def rows(message: Message) -> list[tuple[str, str]]:
    """Names and values of everything that is known; empty where nothing is."""
    stats, locale = message.stats, QLocale()
    found: list[tuple[str, str]] = []

    def tokens(name: str, count: int) -> None:
        words = _tr(_TOKEN if count == 1 else _TOKENS)
        found.append((_tr(name), words.format(count=locale.toString(count))))

    def speed(name: str, value: float) -> None:
        digits = 1 if value < 1000 else 0
        found.append(
            (_tr(name), _tr(_SPEED).format(speed=locale.toString(float(value), "f", digits)))
        )

    if stats is not None and (stats.prompt_tokens or stats.new_tokens):
        if stats.prompt_tokens:
            tokens(_PROMPT, stats.prompt_tokens)
            tokens(_REUSED, stats.reused_tokens)
            tokens(_PREFILLED, stats.prompt_tokens - stats.reused_tokens)
        if stats.reasoning_tokens:
            tokens(_THINKING, stats.reasoning_tokens)
        if stats.reasoning_seconds:
            seconds = locale.toString(float(stats.reasoning_seconds), "f", 1)
            found.append((_tr(_THOUGHT), _tr(_SECONDS).format(seconds=seconds)))
        tokens(_ANSWER, stats.answer_tokens)
        if stats.first_token_seconds:
            seconds = seconds_text(stats.first_token_seconds, 2)
            found.append((_tr(_FIRST), _tr(_SECONDS).format(seconds=seconds)))
        if stats.prefill_speed > 0:
            speed(_READING, stats.prefill_speed)
        if stats.decode_speed:
            speed(_WRITING, stats.decode_speed)
    peak = message.provenance.peak_bytes if message.provenance else 0
    if peak:
        found.append((_tr(_PEAK), size_text(peak, locale)))
    return found


def tooltip(message: Message) -> str:
    """All of it, one to a line."""
    return "\n".join(f"{name}: {value}" for name, value in rows(message))
