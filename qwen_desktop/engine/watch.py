"""Notices answers that come far slower than usual while the device's memory is full.

That is what it looks like when a driver moves memory of a card into main memory without a word, or
when a system swaps. The usual speed is the model's own running median, for contexts of about the
same length, as longer ones are slower by themselves.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import psutil
import torch

from qwen_desktop.chat.events import Alarm, AlarmKind, Delta, GenerationEvent

SAMPLE_TOKENS = 16  # of which one speed is taken
KEPT = 101  # speeds of which the median is the usual one
ENOUGH = 8  # speeds before anything is said
FAR_UNDER = 0.4  # of the usual speed: slow
NEAR = 0.6  # of the usual speed: no longer slow
FULL = 0.97  # of a device's memory
SHORTEST = 9  # contexts under 512 tokens are of one length


class SpeedWatch:
    """Watches the answers of one loaded checkpoint. `is_full` measures its device."""

    def __init__(
        self, is_full: Callable[[], bool], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._is_full, self._clock = is_full, clock
        self._usual: dict[int, deque[float]] = {}  # tokens per second by length of the context
        self._on = False

    def over(self, events: Iterable[GenerationEvent], context: int) -> Iterator[GenerationEvent]:
        """`events` of an answer to a prompt of `context` tokens, with alarms between them."""
        if self._on and not self._is_full():
            yield self._turned(on=False)
        since: float | None = None  # the time of the first token, then of each sample
        tokens = 0
        for event in events:
            yield event
            if not isinstance(event, Delta) or not event.ids:
                continue
            context += len(event.ids)
            now = self._clock()
            if since is None:
                since = now
                continue
            tokens += len(event.ids)
            if tokens >= SAMPLE_TOKENS and now > since:
                alarm = self._take(tokens / (now - since), context)
                since, tokens = now, 0
                if alarm is not None:
                    yield alarm

    def _take(self, speed: float, context: int) -> Alarm | None:
        """Take a speed in; the alarm or the end of it that it brings."""
        past = self._usual.setdefault(max(SHORTEST, context.bit_length()), deque(maxlen=KEPT))
        usual = statistics.median(past) if len(past) >= ENOUGH else 0.0
        slow = speed < (NEAR if self._on else FAR_UNDER) * usual
        if slow and self._is_full():  # the usual speed is one of better times
            return None if self._on else self._turned(on=True, speed=speed, usual=usual)
        past.append(speed)
        return self._turned(on=False) if self._on else None

    def _turned(self, *, on: bool, speed: float = 0.0, usual: float = 0.0) -> Alarm:
        self._on = on
        values = (("speed", f"{speed:.1f}"), ("usual", f"{usual:.1f}")) if on else ()
        return Alarm(AlarmKind.SLOW_AND_FULL, on, values)


def is_full(device: torch.device) -> bool:
    """Whether nearly all memory of `device` is in use, by whatever program."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return bool(free <= (1 - FULL) * total)
    memory = psutil.virtual_memory()
    return bool(memory.available <= (1 - FULL) * memory.total)
