"""A conversation with all that is kept of it: what leaves the store, and what comes into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from qwen_desktop.chat.messages import AnswerTrace
from qwen_desktop.chat.tree import Conversation


@dataclass(frozen=True)
class Record:
    """A conversation, the traces of its answers by message id, and how it is listed.

    A trace may be made only when it is asked for: take one at a time where there may be many.
    """

    conversation: Conversation
    traces: Mapping[str, AnswerTrace] = field(default_factory=lambda: MappingProxyType({}))
    folder: str = ""  # the name of its folder; "" for none
    tags: tuple[str, ...] = ()  # in alphabetical order
    pinned: bool = False
    archived: bool = False
    source: str = ""  # of an imported one: what names it where it came from, "chatgpt:…"
