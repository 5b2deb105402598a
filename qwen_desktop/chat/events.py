"""What a load or a generation says while it runs. Every event is frozen and crosses threads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Union

from qwen_desktop.chat.ledger import Forecast
from qwen_desktop.chat.messages import AnswerStats, PartKind, Provenance, Status, TokenScore
from qwen_desktop.errors import Report


class Stage(str, Enum):
    """What is being done, for progress bars."""

    IMPORTING = "importing"  # torch and transformers
    CHECKING = "checking"  # config, tokenizer files, safetensors headers
    FREEING = "freeing"  # the previous model, where there is no room for both
    READING = "reading"  # weights
    PLACING = "placing"  # joining, packing and moving what was read
    COMPILING = "compiling"  # the decode step for this processor
    WARMING_UP = "warming_up"  # first forward pass
    PREFILL = "prefill"  # reading the prompt
    WAITING = "waiting"  # for a busy server: seconds of those it asked for


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
class Started:
    """The prompt is settled: where the answer will come from. Comes once, before any text."""

    provenance: Provenance
    prompt_ids: tuple[int, ...]


@dataclass(frozen=True)
class Delta:
    """More text of the answer, made of the new tokens `ids`; either may be empty.

    All ids of an answer in their order are those of its deltas; the one that ends it is not told.
    """

    kind: PartKind
    text: str
    ids: tuple[int, ...] = ()

    @property
    def tokens(self) -> int:
        """How many tokens are new."""
        return len(self.ids)


@dataclass(frozen=True)
class Scored:
    """Log probabilities of the next tokens of the answer, where they were asked for."""

    tokens: tuple[TokenScore, ...]


@dataclass(frozen=True)
class Usage:
    """Counts and speeds so far."""

    stats: AnswerStats
    context_tokens: int  # tokens in the model's context now
    context_length: int  # tokens the context can hold: the model's, or fewer where memory is short
    unseen: tuple[str, ...] = ()  # ids of messages that the model was not shown


class AlarmKind(str, Enum):
    """Something the user should know of while it lasts."""

    SLOW_AND_FULL = "slow_and_full"  # far under the usual speed while the device's memory is full
    CPU_FALLBACK = "cpu_fallback"  # the model runs on the CPU though a card was meant
    MEMORY_TAKEN = "memory_taken"  # other programs have taken what the context counted on


@dataclass(frozen=True)
class Alarm:
    """An alarm, or its end (`on` is False). `values` fill its sentence."""

    kind: AlarmKind
    on: bool = True
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class PromptCount:
    """Tokens of a prompt before it is sent: all of them, and those of the draft alone.

    `files` are those of each file that is attached to the draft, which are in `draft` too.
    `budget` is what the prompt may take: `limit` less the reserve for the answer. `unseen` would
    be left out by the policy. `overflows`: it does not fit, and the policy is to ask. `forecast`
    says when the conversation will get there. `refusal`: why it cannot be sent;
    then only `draft` and `files` are known. `estimated`: only a server could count exactly; the
    context is 0 where it has not told that.
    """

    prompt: int
    draft: int
    budget: int
    limit: int
    unseen: tuple[str, ...] = ()
    overflows: bool = False
    files: tuple[int, ...] = ()
    forecast: Forecast | None = None
    refusal: Report | None = None
    estimated: bool = False


class FinishReason(str, Enum):
    """Why a generation ended. All of these are ordinary endings that keep the text."""

    STOP = "stop"  # the model ended its answer
    STOP_STRING = "stop_string"  # it wrote what the user set to end it
    STOPPED = "stopped"  # the user pressed Stop
    LENGTH = "length"
    CONTEXT_FULL = "context_full"
    LOOPING = "looping"

    @property
    def status(self) -> Status:
        """The status the answer gets."""
        return {
            FinishReason.STOP: Status.COMPLETE,
            FinishReason.STOP_STRING: Status.COMPLETE,
            FinishReason.STOPPED: Status.STOPPED,
            FinishReason.LENGTH: Status.LENGTH,
            FinishReason.CONTEXT_FULL: Status.CONTEXT_FULL,
            FinishReason.LOOPING: Status.LOOPING,
        }[self]


@dataclass(frozen=True)
class Finished:
    """The last event of a generation. What else it says is told in `Provenance`."""

    reason: FinishReason
    peak_bytes: int = 0
    held_bytes: int = 0
    others_bytes: int = 0
    planned_bytes: int = 0
    used_bytes: int = 0
    device_bytes: int = 0
    kv_bytes: int = 0
    prefill_chunk: int = 0
    end_token: int = -1
    drafted: int = 0
    accepted: int = 0
    estimated: bool = False


# Union[...] and not X | Y: this is evaluated at run time on Python 3.10 by the queue's typing.
GenerationEvent = Union[Progress, Started, Delta, Scored, Usage, Alarm, Finished]  # noqa: UP007
