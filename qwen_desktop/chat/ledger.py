"""Where memory has gone, and when a conversation will have used it up. Frozen values.

Standard library only: the engine measures and computes, the window shows. Sizes in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class MemoryKind(str, Enum):
    """Which memory a ledger is about."""

    CUDA = "cuda"  # memory of a card
    RAM = "ram"


@dataclass(frozen=True)
class Ledger:
    """The memory of one device at one moment.

    What is in use is `weights`, `kv`, `kv_others`, `activations`, `slack`, `runtime` and `other`;
    with `free` they are the `total`. What is only foreseen is beside that: `kv_to_come`, `working`.
    """

    kind: MemoryKind
    device: str  # its id: "cpu", "cuda:0"
    name: str  # for people
    total: int
    free: int
    weights: int = 0
    kv: int = 0  # of the conversation that is counted or answered
    kv_others: int = 0  # of all others, which give way to it
    activations: int = 0  # held at this moment besides; 0 where that cannot be told from `runtime`
    slack: int = 0  # the allocator's: taken from the device, held by no tensor
    # A card: the CUDA context, kernels and workspaces, that is, what this process has beyond
    # torch's count. Main memory: the rest of this process, libraries and window.
    runtime: int = 0
    runtime_estimated: bool = False  # the driver does not tell what processes have
    other: int = 0  # other programs and the system
    kv_to_come: int = 0  # until the window of the conversation is full
    working: int = 0  # what a forward at the end of the window takes for a moment, as planned
    peak: int = 0  # what the last answer took so, as measured; 0 where the device cannot tell
    reserve: int = 0  # what the plan leaves to others
    # Main memory only. Pages of files that are mapped count as free: they can be read again.
    mapped: int = 0
    swap_own: int = 0  # of this process
    swap_used: int = 0  # of the whole system
    swap_total: int = 0

    @property
    def used(self) -> int:
        """All that is in use, by whomever."""
        return self.total - self.free

    @property
    def to_come(self) -> int:
        """What the rest of the window takes beyond what is held now."""
        return self.kv_to_come + self.working

    @property
    def room(self) -> int:
        """What it may take that from: what others hold of caches goes first."""
        return self.free + self.slack + self.activations + self.kv_others

    @property
    def lacking(self) -> int:
        """How much of `to_come` there is no room for, not even in the reserve."""
        return max(0, self.to_come - self.room)


@dataclass(frozen=True)
class MemorySample:
    """The ledgers of all devices in use, the main one first; main memory where none is open.

    `window` is how many tokens the plan counts on for the conversation, 0 where there is no model.
    """

    ledgers: tuple[Ledger, ...]
    window: int = 0

    @property
    def main(self) -> Ledger:
        """The device where most of the model is."""
        return self.ledgers[0]

    @property
    def weights(self) -> int:
        """Weights on all devices."""
        return sum(one.weights for one in self.ledgers)

    @property
    def kv(self) -> int:
        """Caches of all conversations on all devices."""
        return sum(one.kv + one.kv_others for one in self.ledgers)


class Bound(str, Enum):
    """What ends a conversation."""

    MODEL = "model"  # the context the model was made for
    MEMORY = "memory"
    TOKENIZER = "tokenizer"  # the longest text its tokenizer takes


class WayKind(str, Enum):
    """What can be done about it."""

    KV8 = "kv8"  # an 8-bit KV cache
    SHORTER = "shorter"  # shorter answers: less of the context is kept for them
    PRECISION = "precision"  # weights in fewer bits
    STRETCH = "stretch"  # a context stretched by YaRN


@dataclass(frozen=True)
class Way:
    """One thing that would help: the conversation would then meet its limit at `tokens`.

    `value` says how far to go: tokens of an answer, a precision ("int4"), a factor ("2").
    """

    kind: WayKind
    tokens: int
    value: str = ""


@dataclass(frozen=True)
class Forecast:
    """When a conversation meets its limit. Tokens of its prompt, but for `context`.

    The limit is where the next message would no longer fit beside the room for an answer, so that
    something had to be left out.
    """

    used: int  # now, without the message that is being typed
    limit: int
    context: int  # that the model and the memory allow, the answer included
    bound: Bound
    turn: int = 0  # a turn of this conversation, question and answer; 0 where there was none yet
    turns: int = 0  # how many more can be begun, the one that is being typed among them
    met: bool = False  # it is there: something is left out already, or would be
    ways: tuple[Way, ...] = ()  # the best first
