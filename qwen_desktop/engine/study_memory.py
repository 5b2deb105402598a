"""What a turn of a memory study takes at its highest, and what it leaves behind.

On cards torch's allocator tells, exactly. On the CPU it is the anonymous memory of this process
(no files that are mapped, no pages of the file cache), looked at once a millisecond by a thread.
What that can tell: tensors, and what libraries take beside them. What it cannot: a peak of less
than a millisecond may be missed; whatever else this process takes meanwhile (a window that
paints) is counted too; and what allocators keep of freed memory looks like memory in use. glibc
keeps up to 64 MiB in that way, so memory is given back before every turn: without it, the peak of
a short prompt would be that of the long one before. Elsewhere large blocks go back by themselves.

All figures are the weights and what there is beside the memory at rest, so that neither torch's
libraries nor the window are in them, and figures of the CPU and of cards can be compared.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from mmap import PAGESIZE
from pathlib import Path
from types import TracebackType

import torch

from qwen_desktop.engine.device import give_back

LOOK_S = 0.001
_STATM = Path("/proc/self/statm")


def process_bytes() -> int:
    """Bytes that only this process holds and that are no file's."""
    if _STATM.exists():
        _, resident, shared, *_ = _STATM.read_bytes().split()
        return (int(resident) - int(shared)) * PAGESIZE
    import psutil

    process = psutil.Process()
    if sys.platform == "win32":
        taken = process.memory_info().private  # the full answer walks over all pages
    else:
        taken = process.memory_full_info().uss
    return int(taken)


class Meter:
    """Measures what is computed while it is entered. Used by one thread."""

    def __init__(self, devices: Iterable[torch.device], weights: int) -> None:
        """`devices` of the model, whose weights take `weights` bytes on all of them."""
        self._cards = [device for device in devices if device.type != "cpu"]
        self._on_cpu = len(self._cards) < len(list(devices))
        self._weights = weights
        self._highest = 0
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._given_back = False
        self.settle()

    def settle(self) -> None:
        """What is in use now are the weights alone."""
        self._give_back()
        self._rest = self._allocated()
        self._process_rest = self._process()

    def __enter__(self) -> Meter:
        if not self._given_back:
            self._give_back()
        self._given_back = False
        for card in self._cards:
            torch.accelerator.reset_peak_memory_stats(card)
        self._highest = self._process()
        if self._on_cpu:
            self._end.clear()
            self._thread = threading.Thread(target=self._look, name="study memory", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self._end.set()
            self._thread.join()
            self._thread = None
        self._highest = max(self._highest, self._process())

    @property
    def peak(self) -> int:
        """The highest of what was measured last, the weights in it."""
        cards = sum(int(torch.accelerator.max_memory_allocated(card)) for card in self._cards)
        return self._weights + max(0, cards - self._rest + self._highest - self._process_rest)

    def kept(self) -> int:
        """What this process keeps at the moment, freed memory that was not given back too."""
        cards = sum(int(torch.accelerator.memory_reserved(card)) for card in self._cards)
        return self._weights + max(0, cards - self._rest + self._process() - self._process_rest)

    def steady(self) -> int:
        """What is in use, freed memory given back."""
        self._give_back()
        grown = self._allocated() - self._rest + self._process() - self._process_rest
        return self._weights + max(0, grown)

    def _allocated(self) -> int:
        return sum(int(torch.accelerator.memory_allocated(card)) for card in self._cards)

    def _process(self) -> int:
        return process_bytes() if self._on_cpu else 0

    def _give_back(self) -> None:
        self._given_back = True  # nothing is computed until the next turn
        give_back(self._cards[0] if self._cards else torch.device("cpu"))

    def _look(self) -> None:
        while not self._end.wait(LOOK_S):
            self._highest = max(self._highest, process_bytes())
