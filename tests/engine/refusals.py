"""Memory that is refused, place by place, and conversations that have to go on all the same.

torch itself tells the places: each of its operations passes a dispatch mode, which refuses the
chosen one as an allocator does. So nothing has to be listed by hand, and what is added to the
product later is refused as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from qwen_desktop.chat.events import Delta, Finished, FinishReason, GenerationEvent, Scored
from qwen_desktop.chat.messages import Message, Role, user_message
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.engine import Engine
from tests.engine.helpers import NEVER, reason_of, text_of

REFUSALS: list[Callable[[], Exception]] = [
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried 99"),
    MemoryError,
]


DEPTH = 3
LAY_OVER = torch.ops.aten.set_.source_Storage  # a tensor over memory that is there already


class Place(NamedTuple):
    """An operation and the lines that lead to it, innermost first.

    One line where it is the model's, and one of each of up to `DEPTH` files where they are the
    product's: what copies something may do so for different reasons.
    """

    operation: str
    lines: tuple[str, ...]

    @property
    def ours(self) -> bool:
        """Whether the product asks for it by itself."""
        return bool(self.lines) and self.lines[0].startswith("engine/")


class Point(NamedTuple):
    """An allocation of a piece of work, counted from 1."""

    number: int
    place: Place


class Memory(TorchDispatchMode):
    """Watches what operations of torch allocate, and refuses it where that is wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[Place] | None = None  # written down where it is a list
        self.refused = 0
        self._left = -1  # allocations until the refusal; -1: none is wanted
        self._always = False
        self._kind = 0
        self._made: dict[StorageWeakRef, int] = {}
        self._writes: dict[Any, bool] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and to say so takes longer than to watch

    @property
    def alive(self) -> int:
        """Bytes that were allocated under watch and are held by anybody."""
        self._made = {ref: nbytes for ref, nbytes in self._made.items() if not ref.expired()}
        return sum(self._made.values())

    @property
    def gone(self) -> bool:
        """Whether everything is refused now."""
        return self._always and self._left == 0

    @contextmanager
    def refusing(self, number: int, *, always: bool = False) -> Iterator[None]:
        """Refuse the allocation `number` within, counted from 1; it does come to that."""
        self._left, self._always, self._kind, self.refused = number, always, number, 0
        try:
            with self:
                yield
        finally:
            self._left = -1
        assert self.refused, "it did not come to that allocation"

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in self._writes:
            returned = [value.alias_info for value in func._schema.returns]
            self._writes[func] = any(alias and alias.is_write for alias in returned)
        if self._writes[func] and func is not LAY_OVER:
            self._allocate(func)  # converting or spreading what is written may take memory
            return func(*args, **(kwargs or {}))
        made = func(*args, **(kwargs or {}))
        storages = list(_storages(made))
        if not storages or func is LAY_OVER:
            return made
        given = {storage.data_ptr() for storage in _storages(args)}
        new = [one for one in storages if one.nbytes() and one.data_ptr() not in given]
        if new:  # no view; `to`, `contiguous`, `reshape` are one where they need no copy
            self._allocate(func)
            self._made |= {StorageWeakRef(one): one.nbytes() for one in new}
        return made

    def _allocate(self, func: Any) -> None:
        if self.places is not None:
            self.places.append(_place(func))
        if self._left < 0:
            return
        self._left = max(0, self._left - 1)
        if self._left == 0 and (self._always or not self.refused):
            self.refused += 1
            raise REFUSALS[self._kind % len(REFUSALS)]()


def _storages(values: Any) -> Iterator[torch.UntypedStorage]:
    for value in values if isinstance(values, (tuple, list)) else (values,):
        if isinstance(value, torch.Tensor):
            yield value.untyped_storage()


def _place(func: Any) -> Place:
    lines: dict[str, str] = {}
    frame = sys._getframe(3)
    while frame is not None and len(lines) < DEPTH:
        file = frame.f_code.co_filename.replace(os.sep, "/")
        where = file.rpartition("qwen_desktop/")[2].rpartition("site-packages/")[2]
        line = f"{where}:{frame.f_lineno}"
        if where.startswith("engine/"):
            lines.setdefault(where, line)
        elif where.startswith("transformers/") and not lines:
            return Place(str(func), (line,))
        frame = frame.f_back
    return Place(str(func), tuple(lines.values()))


@dataclass(frozen=True)
class Kind:
    """A checkpoint, how it is loaded and asked.

    `own`: only the product's own lines are refused, as those of the model are those of another.
    `chunk`: tokens of a piece. `step`: the model's lines are refused at every such one only.
    """

    family: str
    made: dict[str, Any]
    loaded: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    own: bool = False
    chunk: int = 16
    step: int = 1


class Said(NamedTuple):
    """An answer, as far as it was given out."""

    text: str
    ids: tuple[int, ...]
    reason: FinishReason | None
    scores: tuple[float, ...]  # how likely each token was: they show more than the tokens do

    def equals(self, other: Said) -> bool:
        """Whether both are the same, but for what the size of pieces does to numbers."""
        return self[:-1] == other[:-1] and self.scores == pytest.approx(other.scores, abs=2e-3)

    def begins(self, other: Said) -> bool:
        """Whether `other` may go on from here."""
        return other.text.startswith(self.text) and other.ids[: len(self.ids)] == self.ids


def said(events: list[GenerationEvent]) -> Said:
    ended = any(isinstance(event, Finished) for event in events)
    return Said(
        text_of(events),
        tuple(i for event in events if isinstance(event, Delta) for i in event.ids),
        reason_of(events) if ended else None,
        tuple(s.logprob for event in events if isinstance(event, Scored) for s in event.tokens),
    )


class Chat:
    """What is said in three turns, and the answers where nothing is refused."""

    def __init__(self, engine: Engine, kind: Kind) -> None:
        self.engine, self.kind = engine, kind
        self._known: tuple[str, ...] = ("undisturbed",)
        self.requests: list[GenerationRequest] = []
        self.answered: list[GenerationRequest] = []  # each ends with the answer
        self.expected: list[Said] = []
        messages: list[Message] = []
        for text, new in (("hello", 1), ("and the other one?", 4), ("end", 2)):
            messages.append(user_message(text, messages[-1].id if messages else None))
            values = GenerationSettings(**{"max_new_tokens": new, "logprobs": 1, **kind.settings})
            self.requests.append(GenerationRequest("undisturbed", tuple(messages), values))
            events = self.ask(len(self.requests) - 1, "undisturbed")
            self.expected.append(said(events))
            answer = Message(Role.ASSISTANT, (), token_ids=self.expected[-1].ids)
            for event in events:
                if isinstance(event, Delta):
                    answer = answer.appended(event.kind, event.text)
            messages.append(answer)
            self.answered.append(replace(self.requests[-1], messages=tuple(messages)))

    @property
    def kv(self) -> int:
        """Bytes of caches, as the engine tells."""
        return self.engine.memory().kv

    def start(self, *conversations: str, keep: str = "") -> None:
        """The first turn of `conversations`; of all others only `keep` stays."""
        for conversation in self._known:
            if conversation != keep:
                self.engine.forget(conversation)
        self._known = (*conversations, keep)
        for conversation in conversations:
            self.ask(0, conversation)

    def stream(self, turn: int, conversation: str) -> Iterator[GenerationEvent]:
        asked = replace(self.requests[turn], conversation_id=conversation)
        return self.engine.generate(asked, NEVER)

    def ask(self, turn: int, conversation: str) -> list[GenerationEvent]:
        return list(self.stream(turn, conversation))

    def goes_on(self, turn: int, conversation: str) -> bool:
        """Whether the answer of this turn is the one that it should be."""
        return said(self.ask(turn, conversation)).equals(self.expected[turn])

    def prepare(self, turn: int, conversation: str) -> None:
        answered = replace(self.answered[turn], conversation_id=conversation)
        for _ in self.engine.prepare(answered, NEVER):
            pass

    def points(
        self, begin: Callable[[], object], work: Callable[[], object], every: int = 1
    ) -> list[Point]:
        """The allocations of `work` that stand for all: one of each place, after `begin`.

        Early ones, late ones and those in between take turns. Of the model's own places, `every`
        such one; 0 for none.
        """
        memory = Memory()
        with memory:
            begin()
            memory.places = []
            work()
        numbers: dict[Place, list[int]] = {}
        for number, place in enumerate(memory.places, 1):
            numbers.setdefault(place, []).append(number)
        every = 0 if self.kind.own else every * self.kind.step
        chosen = []
        for index, (place, found) in enumerate(numbers.items()):
            if place.ours or (every and index % every == 0):
                chosen.append(Point(found[index * 3 % 7 * len(found) // 7], place))
        return sorted(chosen)


def each(points: list[Point], check: Callable[[Point], None]) -> None:
    """Check all of `points`, and tell of all that fail at once."""
    failures = []
    for point in points:
        try:
            check(point)
        except Exception as error:  # noqa: BLE001 - told
            failures.append(f"{point}: {type(error).__name__} {str(error).splitlines()[:1]}")
    assert points, "nothing was allocated"
    assert not failures, "\n".join([f"{len(failures)} of {len(points)}", *failures])
