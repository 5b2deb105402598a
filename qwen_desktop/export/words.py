"""The words of exported documents, in the language they are made in. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from qwen_desktop.errors import QT_TRANSLATE_NOOP

CONTEXT = "export"  # of these words in the translation files


@dataclass(frozen=True)
class Words:
    """English unless the caller says otherwise. Texts in braces are filled in."""

    language: str = "en"  # BCP 47
    untitled: str = QT_TRANSLATE_NOOP("export", "New chat")
    you: str = QT_TRANSLATE_NOOP("export", "You")
    assistant: str = QT_TRANSLATE_NOOP("export", "Assistant")
    assistant_model: str = QT_TRANSLATE_NOOP("export", "Assistant ({model})")
    system: str = QT_TRANSLATE_NOOP("export", "System")
    reasoning: str = QT_TRANSLATE_NOOP("export", "Reasoning")
    file: str = QT_TRANSLATE_NOOP("export", "File: {name}")
    version: str = QT_TRANSLATE_NOOP("export", "Version {number} of {count}")
    reply_to: str = QT_TRANSLATE_NOOP("export", "in reply to: {text}")
    damaged: str = QT_TRANSLATE_NOOP(
        "export", "This message was damaged on disk; what could be read is shown."
    )
    stopped: str = QT_TRANSLATE_NOOP("export", "Stopped.")
    interrupted: str = QT_TRANSLATE_NOOP(
        "export", "Interrupted: the application ended before the answer did."
    )
    length: str = QT_TRANSLATE_NOOP("export", "Cut off: the longest answer was reached.")
    context_full: str = QT_TRANSLATE_NOOP("export", "Cut off: the context was full.")
    looping: str = QT_TRANSLATE_NOOP("export", "Stopped: it repeated itself.")
    failed: str = QT_TRANSLATE_NOOP("export", "Failed.")
    tokens: str = QT_TRANSLATE_NOOP("export", "{count} tokens")
    seconds: str = QT_TRANSLATE_NOOP("export", "{seconds} s")
    seed: str = QT_TRANSLATE_NOOP("export", "seed {seed}")
    page: str = QT_TRANSLATE_NOOP("export", "Page {number}")
    several: str = QT_TRANSLATE_NOOP("export", "{count} chats")
