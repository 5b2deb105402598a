"""Memory runs out at every place that allocates, one after another, and nothing is lost.

torch itself tells the places: each of its operations that makes or fills a tensor passes a
dispatch mode, which refuses the chosen one as an allocator does. So nothing has to be listed by
hand, and what is added to the product later is refused as well.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from qwen_desktop.chat.events import GenerationEvent
from qwen_desktop.engine.engine import Engine
from qwen_desktop.errors import Known
from tests.engine.helpers import NEVER, reason_of, request, text_of

REFUSALS = [
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried 99"),
    lambda: MemoryError(),
]


class Places(TorchDispatchMode):
    """Numbers what allocates, from 1 on; refuses number `at`, and with `always` all after it."""

    def __init__(self, at: int = 0, *, always: bool = False) -> None:
        super().__init__()
        self.at, self.always = at, always
        self.count = 0
        self.seen: list[tuple[str, str, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if _allocates(func):
            self.count += 1
            if not self.at:
                self.seen.append(_place(func))
            elif self.count == self.at or (self.always and self.count > self.at):
                raise REFUSALS[self.at % len(REFUSALS)]()
        return func(*args, **(kwargs or {}))


def _allocates(func: Any) -> bool:
    """Whether the operation gives more than a view of what it was given."""
    returned = [value.alias_info for value in func._schema.returns]
    return any(alias is None or alias.is_write for alias in returned)


def _place(func: Any) -> tuple[str, str, int]:
    """The operation, and the line of the product or of transformers that asked for it."""
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if "qwen_desktop" in file or "transformers" in file:
            return str(func), file, frame.f_lineno
        frame = frame.f_back
    return str(func), "", 0


def ask(engine: Engine, asked: Any) -> list[GenerationEvent]:
    return list(engine.generate(asked, NEVER))


@contextmanager
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Prompts are read in pieces of 16 tokens."""
    with monkeypatch.context() as patch:
        patch.setattr("qwen_desktop.engine.transformers_runner.prefill_chunk", lambda *_, **__: 16)
        yield


@pytest.mark.parametrize("at", [1, 50, 150])
def test_refused_once_nobody_notices(opened, monkeypatch, at):
    with in_pieces(monkeypatch):
        engine = opened("qwen3")
    expected = ask(engine, request("hello", conversation="a"))
    with Places(at):
        events = ask(engine, request("hello", conversation="b"))
    assert text_of(events) == text_of(expected)
    assert reason_of(events) is reason_of(expected)


@pytest.mark.parametrize("at", [1, 50, 150])
def test_refused_again_it_is_one_sentence(opened, monkeypatch, at):
    with in_pieces(monkeypatch):
        engine = opened("qwen3")
    asked = request("hello")
    expected = ask(engine, request("hello", conversation="a"))
    events: list[GenerationEvent] = []
    with Places(at, always=True), pytest.raises(Known, match=r"Memory ran out.*\d tokens"):
        events.extend(engine.generate(asked, NEVER))
    assert text_of(expected).startswith(text_of(events))
    assert text_of(ask(engine, asked)) == text_of(expected)
