"""Messages as frozen values: who said it, its parts, how it ended, what it cost."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from enum import Enum


class Role(str, Enum):
    """Who speaks. Only these ever reach a chat template."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class PartKind(str, Enum):
    """What a part of a message holds."""

    TEXT = "text"
    REASONING = "reasoning"


class Status(str, Enum):
    """How a message stands."""

    COMPLETE = "complete"
    STREAMING = "streaming"  # an answer being written; found at start-up it becomes INTERRUPTED
    STOPPED = "stopped"  # by the user
    INTERRUPTED = "interrupted"  # the application ended in the middle
    LENGTH = "length"  # reached the limit of new tokens
    CONTEXT_FULL = "context_full"  # reached the end of the model's context
    FAILED = "failed"  # an error; `Message.error` says which


@dataclass(frozen=True)
class Part:
    """A run of text of one kind."""

    kind: PartKind
    text: str


@dataclass(frozen=True)
class AnswerStats:
    """What one answer took. Times are seconds, speeds tokens per second."""

    model: str = ""
    prompt_tokens: int = 0
    reused_tokens: int = 0
    reasoning_tokens: int = 0
    answer_tokens: int = 0
    first_token_seconds: float = 0.0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0

    @property
    def new_tokens(self) -> int:
        """Generated tokens, reasoning included."""
        return self.reasoning_tokens + self.answer_tokens

    @property
    def decode_speed(self) -> float:
        """Tokens per second after the first one; 0.0 where there are too few to tell."""
        if self.new_tokens < 2 or self.decode_seconds <= 0:
            return 0.0
        return (self.new_tokens - 1) / self.decode_seconds


def new_id() -> str:
    """A fresh identifier for a message, conversation or run."""
    return os.urandom(16).hex()


@dataclass(frozen=True)
class Message:
    """One message. Identity and place in the tree are `id` and `parent_id`."""

    role: Role
    parts: tuple[Part, ...]
    id: str = field(default_factory=new_id)
    parent_id: str | None = None
    created_at: float = field(default_factory=time.time)  # Unix seconds
    status: Status = Status.COMPLETE
    stats: AnswerStats | None = None
    error: str = ""  # the sentence shown under a FAILED answer

    def text_of(self, kind: PartKind) -> str:
        """All text of one kind, joined."""
        return "".join(part.text for part in self.parts if part.kind is kind)

    @property
    def text(self) -> str:
        """What was said, without reasoning."""
        return self.text_of(PartKind.TEXT)

    @property
    def reasoning(self) -> str:
        """What was thought before saying it; empty for most messages."""
        return self.text_of(PartKind.REASONING)

    def appended(self, kind: PartKind, text: str) -> Message:
        """This message with `text` added to its last part, or as a new part of another kind."""
        if not text:
            return self
        if self.parts and self.parts[-1].kind is kind:
            grown = Part(kind, self.parts[-1].text + text)
            return replace(self, parts=(*self.parts[:-1], grown))
        return replace(self, parts=(*self.parts, Part(kind, text)))


def user_message(text: str, parent_id: str | None) -> Message:
    """A new message of the user."""
    return Message(role=Role.USER, parts=(Part(PartKind.TEXT, text),), parent_id=parent_id)


def pending_answer(parent_id: str, model: str) -> Message:
    """An empty answer about to be streamed by `model`."""
    return Message(
        role=Role.ASSISTANT,
        parts=(),
        parent_id=parent_id,
        status=Status.STREAMING,
        stats=AnswerStats(model=model),
    )
