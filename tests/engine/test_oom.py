"""Memory runs out at every place that allocates, one after another, and nothing is lost.

torch itself tells the places: each of its operations passes a dispatch mode, which refuses the
chosen one as an allocator does. So nothing has to be listed by hand, and what is added to the
product later is refused as well. What other libraries allocate is refused by replacing their calls.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.cache_utils import DynamicCache

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.chat.events import Delta, Finished, FinishReason, GenerationEvent, Scored, Started
from qwen_desktop.chat.messages import Message, Role, user_message
from qwen_desktop.chat.model import EngineOptions, GenerationRequest
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine import cache_file, layers, transformers_runner
from qwen_desktop.engine.engine import Engine
from qwen_desktop.errors import Known
from tests.engine.checkpoints import PLAIN, THINKING_OPEN
from tests.engine.helpers import NEVER, load, reason_of, text_of, usage_of

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


HYBRID = {"num_hidden_layers": 2, "layer_types": ["linear_attention", "full_attention"]}
THINK = {"thinking": True, "temperature": 0.0}
KINDS = {
    "qwen2": Kind("qwen2", {"template": PLAIN}, settings={"repetition_penalty": 1.3}),
    "qwen3": Kind("qwen3", {"template": THINKING_OPEN}, settings=THINK),
    "hybrid": Kind(
        "qwen3_5_text", {"template": THINKING_OPEN, **HYBRID}, settings=THINK, chunk=32, step=3
    ),
    "int8": Kind(
        "qwen3",
        {"template": PLAIN, "head_dim": 32},
        {"kv": KvFormat.INT8},
        {"presence_penalty": 0.5},
        own=True,
    ),
}


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


@pytest.fixture(scope="module", params=KINDS)
def chat(request, made, started) -> Iterator[Chat]:
    kind = KINDS[request.param]
    engine = Engine()
    with pytest.MonkeyPatch.context() as patch:  # so that a prompt has several pieces
        patch.setattr(transformers_runner, "prefill_chunk", lambda *_, **__: kind.chunk)
        load(engine, made(kind.family, **kind.made), **kind.loaded)
    chat = Chat(engine, kind)
    # A refusal collects garbage: only what comes from now on is looked through for it.
    gc.collect()
    gc.freeze()
    yield chat
    gc.unfreeze()
    engine.unload()


def test_refused_once_nobody_notices(chat):
    def begin() -> None:
        chat.start("c")

    def check(point: Point) -> None:
        memory = Memory()
        with memory:
            begin()
        with memory.refusing(point.number):
            assert chat.goes_on(1, "c")
        assert memory.alive == chat.kv
        assert chat.goes_on(2, "c")

    each(chat.points(begin, lambda: chat.ask(1, "c")), check)


def test_refused_again_it_is_one_sentence(chat):
    def begin() -> None:
        chat.start("c")

    def check(point: Point) -> None:
        memory = Memory()
        events: list[GenerationEvent] = []
        with memory:
            begin()
        with memory.refusing(point.number, always=True), pytest.raises(Known) as caught:
            events.extend(chat.stream(1, "c"))
        assert {"tokens", "kv", "free"} <= caught.value.values.keys()
        assert said(events).begins(chat.expected[1])
        assert memory.alive == chat.kv  # although `caught` has the frames
        assert chat.goes_on(1, "c")

    each(chat.points(begin, lambda: chat.ask(1, "c"), every=2), check)


@pytest.fixture
def nothing_left(monkeypatch) -> Iterator[Memory]:
    """Memory of which, once it is gone, not even Python gets some for an empty cache."""
    memory = Memory()

    def refused(*args: Any, **options: Any) -> Any:
        if memory.gone:
            raise MemoryError
        return DynamicCache(*args, **options)

    monkeypatch.setattr(layers, "DynamicCache", refused)
    return memory


def test_an_answer_whose_cache_cannot_be_repaired(chat, nothing_left):
    def begin() -> None:
        chat.start("c")

    def check(point: Point) -> None:
        with nothing_left:
            begin()
        lost = pytest.raises(Known, match="Memory ran out")
        with nothing_left.refusing(point.number, always=True), lost as caught:
            chat.ask(1, "c")
        assert nothing_left.alive == chat.kv  # although `caught` has the frames
        assert int(caught.value.values["tokens"]) > 20
        assert chat.goes_on(1, "c")

    each(chat.points(begin, lambda: chat.ask(1, "c"), every=8), check)


def test_reading_ahead_whose_cache_cannot_be_repaired(chat, nothing_left):
    def begin() -> None:
        chat.start("c")
        chat.ask(1, "c")

    def check(point: Point) -> None:
        with nothing_left:
            begin()
        with nothing_left.refusing(point.number, always=True):
            chat.prepare(1, "c")
        assert nothing_left.alive == chat.kv
        assert chat.goes_on(2, "c")

    each(chat.points(begin, lambda: chat.prepare(1, "c"), every=8), check)


def test_others_are_given_up_and_read_anew(chat):
    def begin() -> None:
        chat.start("other", "c")

    def check(point: Point) -> None:
        memory = Memory()
        with memory:
            begin()
        with memory.refusing(point.number):
            assert chat.goes_on(1, "c")
        assert memory.alive == chat.kv
        with memory:
            again = chat.ask(1, "other")
        assert said(again).equals(chat.expected[1])
        # Snapshots can be done without: nobody has to go for them.
        snapshot = point.place.lines[1:2] and point.place.lines[1].startswith("engine/session.py")
        assert usage_of(again).stats.reused_tokens == 0 or snapshot
        assert memory.alive == chat.kv
        assert chat.goes_on(2, "c")

    each(chat.points(begin, lambda: chat.ask(1, "c"), every=8)[::4], check)


def test_reading_ahead_that_is_refused_is_no_trouble(chat):
    def begin() -> None:
        chat.start("c")
        chat.ask(1, "c")

    def check(point: Point) -> None:
        memory = Memory()
        with memory:
            begin()
        with memory.refusing(point.number, always=point.number % 2 == 0):
            chat.prepare(1, "c")
        assert memory.alive == chat.kv
        assert chat.goes_on(2, "c")

    each(chat.points(begin, lambda: chat.prepare(1, "c"), every=4), check)


def test_counting_takes_nothing_of_torch(chat):
    memory = Memory()
    memory.places = []
    with memory:
        chat.engine.count_prompt(chat.requests[1])
    assert not memory.places


@pytest.fixture
def folder(chat, tmp_path) -> Iterator[Path]:
    """Where caches are written to. Only the conversation in use stays in memory."""
    folder = tmp_path / "caches"
    yield folder
    chat.start()
    chat.engine.configure(EngineOptions())


def put_away(chat: Chat, folder: Path) -> None:
    """Leave two turns of "c" in a cache file only, and "other" in memory, not yet written."""
    chat.start("c")
    chat.ask(1, "c")
    chat.prepare(1, "c")
    # Configured anew, it knows nothing of the files.
    chat.engine.configure(EngineOptions(kv_memory=0, kv_folder=folder, kv_disk=2**30))
    for _ in chat.engine.rest():
        pass
    chat.start("other", keep="c")


def files(folder: Path) -> set[str]:
    """Names of what lies in the folder; no drafts are among them."""
    names = {path.name for path in folder.iterdir()}
    assert not any(name.endswith(".tmp") for name in names)
    return names


def begun(chat: Chat) -> None:
    """Ask the third turn of "c", until its session is there and the answer begins."""
    events = chat.stream(2, "c")
    assert isinstance(next(events), Started)
    events.close()


def test_a_cache_file_that_cannot_be_read_is_not_needed(chat, folder, caplog):
    # pytest keeps records, they keep exceptions, and these what they came through.
    caplog.set_level(logging.CRITICAL, "qwen_desktop")

    def check(point: Point) -> None:
        memory = Memory()
        with memory:
            put_away(chat, folder)
        there = files(folder)
        always = point.number % 2 == 0
        # The sampler takes memory as well, and cannot do without.
        sampler = suppress(Known) if always else nullcontext()
        with memory.refusing(point.number, always=always), sampler:
            begun(chat)
        assert files(folder) >= there  # it is not the file's fault
        assert memory.alive == chat.kv
        assert chat.goes_on(2, "c")

    found = chat.points(lambda: put_away(chat, folder), lambda: begun(chat), every=0)
    each(found[:: 2 if len(found) > 20 else 1], check)


def test_caches_that_cannot_be_written_stay(chat, folder):
    def rest() -> None:
        for _ in chat.engine.rest():
            pass

    def begin() -> None:
        chat.start("c")
        chat.ask(1, "c")
        chat.engine.configure(EngineOptions(kv_folder=folder, kv_disk=2**30))

    def check(point: Point) -> None:
        memory = Memory()
        with memory:
            begin()
        with memory.refusing(point.number, always=point.number % 2 == 0):
            rest()
        assert not files(folder)
        assert memory.alive == chat.kv
        assert chat.goes_on(2, "c")
        rest()
        assert files(folder)

    each(chat.points(begin, rest), check)


def refusing_calls() -> Iterator[Callable[..., Any]]:
    """Stand-ins for a function of a library that cannot get memory, one for each way to say so."""
    for refusal in (*REFUSALS, lambda: OSError(errno.ENOMEM, "Cannot allocate memory")):

        def refuse(*_: Any, refusal: Callable[[], Exception] = refusal, **__: Any) -> Any:
            raise refusal()

        yield refuse


@pytest.mark.parametrize(
    ("module", "name"),
    [(layers, "safe_open"), (cache_file.json, "dumps"), (cache_file.zlib, "crc32")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_libraries_without_memory_for_a_cache_file(chat, folder, monkeypatch, module, name):
    for refuse in refusing_calls():
        put_away(chat, folder)
        there = files(folder)
        with monkeypatch.context() as patch:
            patch.setattr(module, name, refuse)
            begun(chat)
            for _ in chat.engine.rest():
                pass
        assert files(folder) >= there
        assert chat.goes_on(2, "c")
