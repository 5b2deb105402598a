"""What a load or a generation says while it runs. Every event is frozen and crosses threads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Union

from qwen_desktop.chat.messages import AnswerStats, PartKind, Status


class Stage(str, Enum):
    """What is being done, for progress bars."""

    IMPORTING = "importing"  # torch and transformers
    CHECKING = "checking"  # config, tokenizer files, safetensors headers
    FREEING = "freeing"  # the previous model, where there is no room for both
    READING = "reading"  # weights
    PLACING = "placing"  # joining, packing and moving what was read
    WARMING_UP = "warming_up"  # first forward pass
    PREFILL = "prefill"  # reading the prompt


@dataclass(frozen=True)
class Progress:
    """`done` of `total` (bytes while reading weights, tokens in prefill, 0/0 where unknown)."""

    stage: Stage
    done: int = 0
    total: int = 0
    detail: str = ""  # e.g. the file being read
    part: int = 0  # number of that file, from 1; 0 where there is only one
    parts: int = 0


@dataclass(frozen=True)
class Delta:
    """More text of the answer, made of `tokens` new tokens."""

    kind: PartKind
    text: str
    tokens: int = 1


@dataclass(frozen=True)
class Usage:
    """Counts and speeds so far."""

    stats: AnswerStats
    context_tokens: int  # tokens in the model's context now
    context_length: int  # tokens the context can hold
    dropped: int = 0  # first messages of the conversation that the model is no longer shown


class FinishReason(str, Enum):
    """Why a generation ended. All of these are ordinary endings that keep the text."""

    STOP = "stop"  # the model ended its answer
    STOPPED = "stopped"  # the user pressed Stop
    LENGTH = "length"
    CONTEXT_FULL = "context_full"

    @property
    def status(self) -> Status:
        """The status the answer gets."""
        return {
            FinishReason.STOP: Status.COMPLETE,
            FinishReason.STOPPED: Status.STOPPED,
            FinishReason.LENGTH: Status.LENGTH,
            FinishReason.CONTEXT_FULL: Status.CONTEXT_FULL,
        }[self]


@dataclass(frozen=True)
class Finished:
    """The last event of a generation."""

    reason: FinishReason


# Union[...] and not X | Y: this is evaluated at run time on Python 3.10 by the queue's typing.
GenerationEvent = Union[Progress, Delta, Usage, Finished]  # noqa: UP007
