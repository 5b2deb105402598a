"""Whether an answer can be written anew from one of its tokens on, and why not. Pure functions."""

from __future__ import annotations

from qwen_desktop.bridge.asking import NO_MODEL
from qwen_desktop.chat.messages import Message, Role, Status
from qwen_desktop.chat.model import ModelInfo
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Report

_ANEW = QT_TRANSLATE_NOOP("errors", "Answer again from the start instead.")
BEING_WRITTEN = Report(
    QT_TRANSLATE_NOOP("errors", "This answer is still being written."),
    QT_TRANSLATE_NOOP("errors", "Wait for it or stop it."),
)
NO_TOKENS = Report(QT_TRANSLATE_NOOP("errors", "The tokens of this answer were not kept."), _ANEW)
NOT_THERE = Report(
    QT_TRANSLATE_NOOP("errors", "A server answers this chat: it begins every answer anew."), _ANEW
)
UNKNOWN_ORIGIN = Report(
    QT_TRANSLATE_NOOP("errors", "It is not known which checkpoint wrote this answer."), _ANEW
)


def refusal(message: Message, info: ModelInfo | None) -> Report | None:
    """Why no token of `message` can be gone back to with the open checkpoint; None where it can."""
    if message.status is Status.STREAMING:
        return BEING_WRITTEN
    if message.role is not Role.ASSISTANT or message.parent_id is None or not message.token_ids:
        return NO_TOKENS
    origin = message.provenance
    if origin is None or not origin.fingerprint:
        return UNKNOWN_ORIGIN
    if info is None:
        return NO_MODEL
    if origin.fingerprint != info.fingerprint:
        name = message.stats.model if message.stats is not None else ""
        return Report(
            QT_TRANSLATE_NOOP("errors", "Another checkpoint wrote this answer: {name}."),
            QT_TRANSLATE_NOOP("errors", "Open that checkpoint to go on from one of its tokens."),
            {"name": name or "?"},
        )
    return None
