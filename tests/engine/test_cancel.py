"""A load can be cancelled wherever it looks; nothing is left of it, and the old model goes on."""

from __future__ import annotations

import gc
import random
import threading

import pytest
import torch

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.chat.events import Progress, Stage
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.matching import cancellable
from qwen_desktop.errors import Cancelled
from tests.engine.helpers import NEVER, ask, load, request, text_of, usage_of

FAMILIES = ("qwen3_moe", "qwen3_5_text")
SAMPLES = 12


class Looks(threading.Event):
    """Counts how often somebody looks; set from look number `cancel_at`, counted from 1."""

    def __init__(self, cancel_at: int = 0) -> None:
        super().__init__()
        self.count = 0
        self._cancel_at = cancel_at

    def is_set(self) -> bool:
        self.count += 1
        return 0 < self._cancel_at <= self.count


def bytes_of_tensors() -> int:
    """Memory of all tensors that are still there.

    transformers leaves the threads that read for it to end by themselves, each with its tensor.
    """
    for thread in threading.enumerate():
        if thread.name.startswith("ThreadPoolExecutor"):
            thread.join(10)
    gc.collect()
    found = [one for one in gc.get_objects() if issubclass(type(one), torch.Tensor)]
    return sum(one.nbytes for one in found if not one.is_meta)


@pytest.fixture(params=FAMILIES)
def folder(request, made):
    return made(request.param, shards=True)


@pytest.fixture
def in_use(opened):
    """An engine in the middle of a conversation, the memory it takes, and what it says."""
    engine = opened("qwen2")
    answer = text_of(ask(engine, request("hello", max_new_tokens=6)))
    return engine, bytes_of_tensors(), answer


def check_nothing_happened(in_use) -> None:
    engine, taken, answer = in_use
    assert bytes_of_tensors() == taken
    assert engine.info.family == "qwen2"
    events = ask(engine, request("hello", max_new_tokens=6))
    assert text_of(events) == answer
    stats = usage_of(events).stats
    assert stats.reused_tokens == stats.prompt_tokens - 1  # its conversation is still there


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8])
def test_wherever_it_looks(in_use, folder, precision):
    engine = in_use[0]
    wanted = LoadRequest(folder, precision, "cpu")
    every = Looks()
    Engine().load(wanted, every, lambda _: None)
    assert every.count > 100
    rng = random.Random(0)
    for at in {1, every.count, *(rng.randint(1, every.count) for _ in range(SAMPLES))}:
        with pytest.raises(Cancelled):
            engine.load(wanted, Looks(at), lambda _: None)
        check_nothing_happened(in_use)
    load(engine, folder)
    assert engine.info.folder == folder


@pytest.mark.parametrize("part", ["first", "last"])
@pytest.mark.parametrize("stage", [Stage.CHECKING, Stage.READING, Stage.PLACING, Stage.WARMING_UP])
def test_at_what_is_told(in_use, folder, stage, part):
    engine = in_use[0]
    told: list[Progress] = []
    Engine().load(LoadRequest(folder), NEVER, told.append)
    place = [index for index, event in enumerate(told) if event.stage is stage]
    at = place[0] if part == "first" else place[-1]
    cancel, seen = threading.Event(), []

    def on_progress(event: Progress) -> None:
        seen.append(event)
        same = [one for one in seen if one.stage is stage]
        if event.stage is stage and (part == "first" or len(same) > at - place[0]):
            cancel.set()

    try:
        engine.load(LoadRequest(folder), cancel, on_progress)
    except Cancelled:
        check_nothing_happened(in_use)
    else:  # the last report of reading may come a moment before the end, by the clock
        assert part == "last"


def test_planning_is_left_between_two_modules(made):
    """Of hundreds of modules and weights, hardly one after that at which it is cancelled."""
    folder = made("qwen3_moe", shards=True)
    checkpoint, wanted = inspect(folder), LoadRequest(folder, Precision.FP32, "cpu")
    every = Looks()
    loader.plan(checkpoint, wanted, cancel=every)
    for at in range(1, every.count, max(1, every.count // 25)):
        cancel = Looks(at)
        with pytest.raises(Cancelled):
            loader.plan(checkpoint, wanted, cancel=cancel)
        assert cancel.count <= at + every.count // 4  # threads look once more for what waited


def test_others_may_build_modules_meanwhile():
    cancel, built = threading.Event(), []

    def build() -> None:
        built.append(torch.nn.Linear(2, 2))

    def build_in_two_threads() -> None:
        with cancellable(cancel):
            cancel.set()
            other = threading.Thread(target=build)
            other.start()
            other.join()
            build()

    with pytest.raises(Cancelled):
        build_in_two_threads()
    assert len(built) == 1
    build()  # and afterwards everybody may
    assert len(built) == 2
