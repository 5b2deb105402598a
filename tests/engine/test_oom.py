"""Memory runs out at every place that allocates, one after another, and nothing is lost.

Operations of torch are found and refused by refusals.py. What other libraries allocate is refused
by standing in for their calls.
"""

from __future__ import annotations

import errno
import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from transformers.cache_utils import DynamicCache

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.chat.events import GenerationEvent, Started
from qwen_desktop.chat.model import EngineOptions
from qwen_desktop.engine import cache_file, layers, sessions, transformers_runner
from qwen_desktop.engine.engine import Engine
from qwen_desktop.errors import Known
from tests.engine.checkpoints import PLAIN, THINKING_OPEN
from tests.engine.helpers import load, usage_of
from tests.engine.refusals import REFUSALS, Chat, Kind, Memory, Point, each, said

HYBRID = {"num_hidden_layers": 2, "layer_types": ["linear_attention", "full_attention"]}
SAMPLED = {"temperature": 2.0, "top_k": 50, "repetition_penalty": 1.3, "seed": 3}
THINK = {"thinking": True, "temperature": 0.0}
KINDS = {
    "qwen2": Kind("qwen2", {"template": PLAIN}, settings=SAMPLED),
    "qwen3": Kind("qwen3", {"template": THINKING_OPEN}, settings=THINK, step=2),
    "hybrid": Kind(
        "qwen3_5_text", {"template": THINKING_OPEN, **HYBRID}, settings=THINK, chunk=32, step=4
    ),
    "int8": Kind(
        "qwen3",
        {"template": PLAIN, "head_dim": 32},
        {"kv": KvFormat.INT8},
        {"presence_penalty": 0.5},
        own=True,
    ),
}


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
    engine.unload()
    gc.unfreeze()  # and all else again, which other tests would look through with every load
    gc.collect()
    gc.freeze()


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

    each(chat.points(begin, lambda: chat.ask(1, "c"), every=3), check)


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


def test_others_are_given_up_and_read_anew(chat, monkeypatch):
    monkeypatch.setattr(sessions, "WORTH_COPYING", 10**9)  # what is gone is read anew

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


def test_a_copy_of_another_conversation_that_is_refused_is_no_trouble(chat, monkeypatch):
    monkeypatch.setattr(sessions, "WORTH_COPYING", 1)

    def begin() -> None:
        chat.start("other")

    def check(point: Point) -> None:
        memory = Memory()
        with memory:
            begin()
        with memory.refusing(point.number):
            assert chat.goes_on(1, "c")
        assert memory.alive == chat.kv
        assert chat.goes_on(1, "other")
        chat.engine.forget("c")

    points = chat.points(begin, lambda: chat.ask(1, "c"), every=1)
    copies = [one for one in points if any("sessions.py" in line for line in one.place.lines)]
    chat.engine.forget("c")
    if chat.kind.family == "qwen3_5_text":  # which cannot be cropped
        assert not copies
    else:
        each(copies[:12], check)


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

    each(chat.points(begin, lambda: chat.prepare(1, "c"), every=6), check)


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
