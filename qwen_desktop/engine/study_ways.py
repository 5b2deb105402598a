"""The three ways of a memory study. Each reads prompts that grow and writes the likeliest tokens.

All three get the same ids, so they write the same answers; they differ in what they keep.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch

from qwen_desktop.chat.events import FinishReason, Progress
from qwen_desktop.chat.study import EAGER_ANSWER, Way
from qwen_desktop.engine.decode import End, Prefilled, Token, decode
from qwen_desktop.engine.loaded import Loaded
from qwen_desktop.engine.planning import Planner
from qwen_desktop.engine.prompt import Prompt
from qwen_desktop.engine.relief import Relief as Ladder
from qwen_desktop.engine.runner import Logits
from qwen_desktop.engine.session import Relief, Session
from qwen_desktop.engine.transformers_runner import TransformersRunner
from qwen_desktop.errors import Cancelled

_T = TypeVar("_T")
Tell = Callable[[int, int], None]  # tokens read, of how many


@dataclass(frozen=True)
class Turn:
    """What one turn did. Times as in StudyPoint."""

    read: int
    prefill_s: float
    first_token_s: float
    decode_speed: float
    answer: tuple[int, ...]


class Unsupported(Exception):  # noqa: N818 - reads as what it is
    """The architecture cannot compute in that way."""


class Series(Protocol):
    """One way, from its shortest prompt to its longest."""

    def begin(self, ids: Sequence[int], cancel: threading.Event) -> None:
        """Come to where an earlier turn of `ids` left. Raises as `turn`."""

    @property
    def held(self) -> int:
        """Bytes of caches that are kept from turn to turn."""

    def turn(self, ids: Sequence[int], cancel: threading.Event, tell: Tell) -> Turn:
        """Read the prompt `ids` and write an answer.

        Raises Cancelled, Unsupported, and what allocators and relief raise.
        """

    def close(self) -> None:
        """Keep nothing; the model is as it was before."""


def series(way: Way, loaded: Loaded, planner: Planner, answer: int) -> Series:
    """The way `way` for the checkpoint in use, with answers of `answer` tokens."""
    if way is Way.EAGER:
        return _Eager(loaded, min(answer, EAGER_ANSWER))
    return _App(loaded, planner, answer) if way is Way.APP else _Reread(loaded, answer)


class _NoRelief:
    """Memory that runs out is the end: nothing is tried in smaller pieces."""

    halvings = 0

    def run(self, call: Callable[[], _T], repair: Callable[[], None]) -> _T:
        return call()


class _Clock:
    """Takes the times of a turn; a card is waited for."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._moments: list[float] = []
        self._read_at = 0.0
        self._wait()
        self._start = time.perf_counter()

    def _wait(self) -> None:
        if self._device.type != "cpu":
            torch.accelerator.synchronize(self._device)

    def read(self) -> None:
        """The prompt has been read."""
        self._wait()
        self._read_at = time.perf_counter()

    def token(self) -> None:
        """Another token is there."""
        self._moments.append(time.perf_counter())

    def turn(self, read: int, answer: Sequence[int]) -> Turn:
        first, last = self._moments[0], self._moments[-1]
        return Turn(
            read,
            self._read_at - self._start,
            first - self._start,
            (len(self._moments) - 1) / (last - first) if last > first else 0.0,
            tuple(answer),
        )


def _likeliest(logits: Logits) -> int:
    return int(logits.argmax())


def _cached(
    loaded: Loaded,
    session: Session,
    ids: Sequence[int],
    answer: int,
    cancel: threading.Event,
    tell: Tell,
    *,
    chunk: int,
    relief: Relief,
    boundary: int,
) -> Turn:
    """A turn of the program's own decode loop in `session`."""
    capabilities = loaded.runner.capabilities
    clock = _Clock(capabilities.device)
    written: list[int] = []
    reused = 0
    steps = decode(
        session,
        Prompt(tuple(ids), boundary, thinking_open=False),
        _likeliest,
        chunk=chunk,
        relief=relief,
        end_ids=frozenset(),
        max_new_tokens=answer,
        context_length=capabilities.context_length,
        cancel=cancel,
    )
    for step in steps:
        if isinstance(step, Progress):
            tell(step.done, step.total)
        elif isinstance(step, Prefilled):
            clock.read()
            reused = step.reused
        elif isinstance(step, Token):
            clock.token()
            written.append(step.id)
        elif isinstance(step, End) and step.reason is FinishReason.STOPPED:
            raise Cancelled
    return clock.turn(len(ids) - reused, written)


class _App:
    """As a conversation in this program: what was read is kept, what is new comes in pieces."""

    def __init__(self, loaded: Loaded, planner: Planner, answer: int) -> None:
        self._loaded, self._planner, self._answer = loaded, planner, answer
        self._session = Session("", loaded.runner)

    @property
    def held(self) -> int:
        return self._session.nbytes

    def begin(self, ids: Sequence[int], cancel: threading.Event) -> None:
        self.turn(ids, cancel, _untold)

    def turn(self, ids: Sequence[int], cancel: threading.Event, tell: Tell) -> Turn:
        plan = self._planner.plan(len(ids), len(ids) + self._answer, self._session.cache.nbytes, 0)
        return _cached(
            self._loaded,
            self._session,
            ids,
            self._answer,
            cancel,
            tell,
            chunk=plan.chunk,
            relief=Ladder(self._loaded.runner.capabilities.device, lambda: 0),
            boundary=len(ids),
        )

    def close(self) -> None:
        self._session = Session("", self._loaded.runner)


class _Reread:
    """As the document's script: every turn reads everything, in one piece."""

    held = 0

    def __init__(self, loaded: Loaded, answer: int) -> None:
        self._loaded, self._answer = loaded, answer

    def begin(self, ids: Sequence[int], cancel: threading.Event) -> None:
        """Nothing is kept from turn to turn."""

    def turn(self, ids: Sequence[int], cancel: threading.Event, tell: Tell) -> Turn:
        return _cached(
            self._loaded,
            Session("", self._loaded.runner),
            ids,
            self._answer,
            cancel,
            tell,
            chunk=len(ids),
            relief=_NoRelief(),
            boundary=0,
        )

    def close(self) -> None:
        """Nothing is kept."""


class _Eager:
    """As transformers of old: everything is computed for every token, and all of its logits."""

    held = 0

    def __init__(self, loaded: Loaded, answer: int) -> None:
        self._loaded, self._answer = loaded, answer
        runner = loaded.runner
        if not isinstance(runner, TransformersRunner):
            raise Unsupported(runner.capabilities.name)
        self._runner = runner
        self._model: Any = runner.module
        self._usual = str(self._model.config._attn_implementation)
        try:
            self._model.set_attn_implementation("eager")
        except (ValueError, NotImplementedError) as error:
            raise Unsupported(str(error)) from error

    def begin(self, ids: Sequence[int], cancel: threading.Event) -> None:
        """Nothing is kept from turn to turn."""

    def turn(self, ids: Sequence[int], cancel: threading.Event, tell: Tell) -> Turn:
        tell(0, len(ids))
        clock = _Clock(self._runner.capabilities.device)
        scale = self._runner.rope_scale(len(ids))
        written: list[int] = []
        for _ in range(self._answer):
            if cancel.is_set():
                raise Cancelled
            logits = self._forward([*ids, *written], scale, cancel)
            if not written:
                clock.read()
            written.append(_likeliest(logits))
            clock.token()
            tell(len(ids), len(ids))
        return clock.turn(len(ids), written)

    def _forward(self, ids: Sequence[int], scale: float, cancel: threading.Event) -> Logits:
        with torch.inference_mode(), self._runner.heeding(cancel):
            if hasattr(self._model, "set_rope_scale"):
                self._model.set_rope_scale(scale)
            output = self._model(
                input_ids=torch.tensor([list(ids)], device=self._model.device), use_cache=False
            )
            # A copy: a view would keep those of all positions through the next forward.
            logits: Logits = output.logits[0, -1].clone().to(self._model.device).float()
            return logits

    def close(self) -> None:
        self._model.set_attn_implementation(self._usual)


def _untold(_done: int, _total: int) -> None:
    """Nobody waits for it."""
