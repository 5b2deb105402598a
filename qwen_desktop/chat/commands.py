"""Commands that are typed as messages: `/seed 7`. What they are called is known elsewhere. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwen_desktop.chat.settings import Setting, Value

# A path has another slash or a dot, and what somebody says after a slash has a space before.
_TYPED = re.compile(r"/([^\W\d_][\w-]{0,39})(?:\s+(.*))?", re.DOTALL)
_TRUE = ("on", "yes", "true", "1")
_FALSE = ("off", "no", "false", "0")
AS_USUAL = ("default", "reset")  # of a setting: as in general


@dataclass(frozen=True)
class Typed:
    """A text that looks like a command. `name` is in small letters, `argument` trimmed."""

    name: str
    argument: str


def typed(text: str) -> Typed | None:
    """What `text` asks for, known or not; None where it is a message."""
    if not text.startswith("/"):
        return None
    match = _TYPED.fullmatch(text)
    if match is None:
        return None
    return Typed(match[1].lower().replace("-", "_"), (match[2] or "").strip())


def value_of(setting: Setting, words: str) -> Value:
    """What somebody wrote as a value of `setting`.

    Raises ValueError where the setting does not accept it.
    """
    value = _read(setting, words.strip())
    if not setting.accepts(value):
        raise ValueError(words)
    return value


def _read(setting: Setting, words: str) -> Value:
    small = words.casefold()
    if small == "auto" and setting.optional:
        return None
    if setting.kind is bool:
        if small in _TRUE + _FALSE:
            return small in _TRUE
        raise ValueError(words)
    if setting.kind is int:
        return int(words.replace(",", "").replace("_", ""))
    if setting.kind is float:
        return float(words.replace(",", "."))
    if setting.choices:
        key = small.replace(" ", "_").replace("-", "_")
        return next((choice for choice, _ in setting.choices if choice == key), words)
    return words.replace("\\n", "\n") if setting.multiline else words
