"""Messages as frozen values: who said it, its parts, how it ended, what it cost."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from math import isfinite


class Role(str, Enum):
    """Who speaks. Only these ever reach a chat template."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class PartKind(str, Enum):
    """What a part of a message holds."""

    TEXT = "text"
    REASONING = "reasoning"
    FILE = "file"  # text that was attached to a message of the user


class Status(str, Enum):
    """How a message stands."""

    COMPLETE = "complete"
    STREAMING = "streaming"  # an answer being written; found at start-up it becomes INTERRUPTED
    STOPPED = "stopped"  # by the user
    INTERRUPTED = "interrupted"  # the application ended in the middle
    LENGTH = "length"  # reached the limit of new tokens
    CONTEXT_FULL = "context_full"  # reached the end of the model's context
    LOOPING = "looping"  # said the same again and again; stopped by the loop guard
    FAILED = "failed"  # an error; `Message.error` says which

    @property
    def is_cut(self) -> bool:
        """Whether the answer may be continued where it ended."""
        return self in _CUT


_CUT = (
    Status.STOPPED,
    Status.INTERRUPTED,
    Status.LENGTH,
    Status.CONTEXT_FULL,
    Status.LOOPING,
    Status.FAILED,
)


@dataclass(frozen=True)
class Part:
    """A run of text of one kind. `name` is what a FILE is called, and empty for all others."""

    kind: PartKind
    text: str
    name: str = ""


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
    reasoning_seconds: float = 0.0  # from the first token of reasoning to its last

    @property
    def new_tokens(self) -> int:
        """Generated tokens, reasoning included."""
        return self.reasoning_tokens + self.answer_tokens

    @property
    def prefill_speed(self) -> float:
        """Tokens of the prompt that were read, not reused, per second; 0.0 where none were."""
        if self.prefill_seconds <= 0:
            return 0.0
        return _speed(self.prompt_tokens - self.reused_tokens, self.prefill_seconds)

    @property
    def decode_speed(self) -> float:
        """Tokens per second after the first one; 0.0 where there are too few to tell."""
        if self.new_tokens < 2 or self.decode_seconds <= 0:
            return 0.0
        return _speed(self.new_tokens - 1, self.decode_seconds)


def _speed(tokens: int, seconds: float) -> float:
    """Tokens per second; 0.0 where the time is too short to be one."""
    speed = tokens / seconds
    return speed if isfinite(speed) else 0.0


@dataclass(frozen=True)
class Provenance:
    """Where an answer came from: enough to say why it is what it is, or to make it again.

    Counts and speeds are in `AnswerStats`; the ids of the prompt are kept apart, as `AnswerTrace`.
    """

    fingerprint: str = ""  # of the checkpoint's files; see engine/fingerprint.py
    template: str = ""  # SHA-256 of the chat template, "" where there is none
    tokenizer: str = ""  # of the tokenizer's files; see engine/tokenizer_mark.py
    family: str = ""  # model_type
    precision: str = ""  # for people: "BF16", "INT4 (GPTQ)"
    kv_format: str = "model"  # value of KvFormat
    device: str = ""  # for people
    engine: str = ""  # versions that computed it: "torch 2.13.0, transformers 5.23.0"
    thinking: bool = False
    sampling: tuple[tuple[str, float], ...] = ()  # settled numbers by name
    seed: int = 0
    thinking_budget: int | None = None  # tokens
    stop_strings: tuple[str, ...] = ()
    context_limit: int = 0  # tokens that model and memory allowed
    unseen: tuple[str, ...] = ()  # ids of messages on the path that the model was not shown
    stop_reason: str = ""  # value of FinishReason; "" while it streams or where it failed
    peak_bytes: int = 0  # highest memory held by the engine on the main device
    held_bytes: int = 0  # held by it there once the answer had ended
    others_bytes: int = 0  # of both, caches of other conversations
    planned_bytes: int = 0  # what was predicted for the peak of so many tokens, without others
    used_bytes: int = 0  # all that was in use on that device then, by whatever program
    device_bytes: int = 0  # all the memory it has
    kv_bytes: int = 0  # of this conversation's KV cache then
    prefill_chunk: int = 0  # tokens of the prompt that were read at a time, at most
    end_token: int = -1  # id of the token by which the model ended it; -1: it did not
    drafted: int = 0  # tokens that were guessed ahead and verified
    accepted: int = 0  # those of them that came
    draft_model: str = ""  # name of the model that guessed besides; "" for none
    # Of an answer of a server, else "":
    connection: str = ""  # its name, as the user called it
    address: str = ""  # base of its API
    remote_model: str = ""  # as the server names it
    not_taken: str = ""  # settings that it was not told, as it does not know them
    estimated: bool = False  # the counts of tokens are not the server's own
    # Of an answer that begins with tokens of another version:
    forked_from: str = ""  # id of that version
    forked_at: int = -1  # number of the first token that is not its own; -1: it begins by itself
    forked_token: int = -1  # id of the token that was picked to come there; -1: the model chose


@dataclass(frozen=True)
class TokenScore:
    """One generated token with its log probability (natural, after penalties and temperature 1).

    `top` holds the likeliest tokens as (id, text, log probability), likeliest first.
    """

    id: int
    text: str
    logprob: float
    top: tuple[tuple[int, str, float], ...] = ()


@dataclass(frozen=True)
class AnswerTrace:
    """What is kept of an answer only to be looked at: read from disk when asked for."""

    prompt_ids: tuple[int, ...] = ()
    scores: tuple[TokenScore, ...] = ()


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
    pinned: bool = False  # never dropped from the prompt
    token_ids: tuple[int, ...] = ()  # of an answer, as generated, reasoning and markers included
    provenance: Provenance | None = None  # of an answer
    damaged: bool = False  # something of it could not be read from the disk; never written

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

    @property
    def files(self) -> tuple[Part, ...]:
        """What is attached, in its order."""
        return tuple(part for part in self.parts if part.kind is PartKind.FILE)

    def appended(self, kind: PartKind, text: str) -> Message:
        """This message with `text` added to its last part, or as a new part of another kind."""
        if not text:
            return self
        if self.parts and self.parts[-1].kind is kind:
            grown = Part(kind, self.parts[-1].text + text)
            return replace(self, parts=(*self.parts[:-1], grown))
        return replace(self, parts=(*self.parts, Part(kind, text)))


def user_message(text: str, parent_id: str | None, files: Iterable[Part] = ()) -> Message:
    """A new message of the user; its `files` stand before the text, which may then be empty."""
    attached = tuple(files)
    said = (Part(PartKind.TEXT, text),) if text or not attached else ()
    return Message(role=Role.USER, parts=attached + said, parent_id=parent_id)


def pending_answer(parent_id: str, model: str) -> Message:
    """An empty answer about to be streamed by `model`."""
    return Message(
        role=Role.ASSISTANT,
        parts=(),
        parent_id=parent_id,
        status=Status.STREAMING,
        stats=AnswerStats(model=model),
    )
