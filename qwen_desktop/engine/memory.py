"""Ledgers of the memory in use, cheap enough to make several times a second from any thread.

What the engine counts (weights, caches) is compared with what systems and drivers tell. No torch
at module level: main memory is looked at before torch has been imported.

No card is ever woken for it. Asking a sleeping card of a laptop anything, be it by CUDA or by NVML,
powers it up, and a look each second would keep it so. So a card is asked only while a checkpoint is
on it or on its way there: there is a CUDA context of ours then, with which it does not sleep.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from qwen_desktop.chat.ledger import Ledger, MemoryKind, MemorySample

if TYPE_CHECKING:
    import torch

    from qwen_desktop.engine.gpus import OwnMemory

SWAP_SECONDS = 2.0  # between two looks at the swap: Windows takes milliseconds for one

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Counted:
    """What the engine counts on one device, as in `Ledger`. Bytes."""

    weights: int = 0
    kv: int = 0
    kv_others: int = 0
    kv_to_come: int = 0
    working: int = 0
    peak: int = 0
    reserve: int = 0


NOTHING = Counted()


@dataclass(frozen=True)
class Process:
    """Main memory of this process: its own pages, those of mapped files, those in the swap."""

    own: int
    mapped: int = 0
    swapped: int = 0


@dataclass(frozen=True)
class CardCounters:
    """What is known of a card. `own` is all of this process, None where the driver keeps quiet."""

    total: int
    free: int
    reserved: int
    allocated: int
    own: int | None = None


def ram_ledger(
    counted: Counted,
    total: int,
    free: int,
    process: Process,
    swap: tuple[int, int] = (0, 0),
) -> Ledger:
    """Main memory divided up; `swap` are used and total bytes of it.

    Counts of different moments need not agree: then what the system says goes first.
    """
    used = max(0, total - free)
    left = own = min(process.own, used)
    # Freshly read weights run ahead of the system's count, those that were swapped out are gone.
    weights = min(counted.weights, left)
    left -= weights
    kv = min(counted.kv, left)
    left -= kv
    kv_others = min(counted.kv_others, left)
    return Ledger(
        kind=MemoryKind.RAM,
        device="cpu",
        name="RAM",
        total=total,
        free=total - used,
        weights=weights,
        kv=kv,
        kv_others=kv_others,
        runtime=left - kv_others,
        other=used - own,
        kv_to_come=counted.kv_to_come,
        working=counted.working,
        peak=counted.peak,
        reserve=counted.reserve,
        mapped=process.mapped,
        swap_own=process.swapped,
        swap_used=swap[0],
        swap_total=swap[1],
    )


def card_ledger(counted: Counted, device: str, name: str, counters: CardCounters) -> Ledger:
    """The memory of a card divided up."""
    from qwen_desktop.engine.placement import CARD_RUNTIME  # not needed for main memory

    used = max(0, counters.total - counters.free)
    reserved = min(counters.reserved, used)
    allocated = min(counters.allocated, reserved)
    left = allocated
    weights = min(counted.weights, left)
    left -= weights
    kv = min(counted.kv, left)
    left -= kv
    kv_others = min(counted.kv_others, left)
    estimated = counters.own is None
    runtime = CARD_RUNTIME if counters.own is None else counters.own - reserved
    runtime = min(max(0, runtime), used - reserved)
    return Ledger(
        kind=MemoryKind.CUDA,
        device=device,
        name=name,
        total=counters.total,
        free=counters.total - used,
        weights=weights,
        kv=kv,
        kv_others=kv_others,
        activations=left - kv_others,
        slack=reserved - allocated,
        runtime=runtime,
        runtime_estimated=estimated,
        other=used - reserved - runtime,
        kv_to_come=counted.kv_to_come,
        working=counted.working,
        peak=counted.peak,
        reserve=counted.reserve,
    )


class Meter:
    """Makes ledgers of what is measured now. One thread at a time."""

    def __init__(self) -> None:
        self._swap = (0, 0)
        self._swap_until = 0.0
        self._names: dict[str, str] = {}
        self._drivers: dict[str, OwnMemory] = {}

    def ram(self, counted: Counted = NOTHING) -> Ledger:
        """Main memory."""
        memory = psutil.virtual_memory()
        return ram_ledger(
            counted, int(memory.total), int(memory.available), this_process(), self._swapped()
        )

    def card(self, device: torch.device, counted: Counted = NOTHING) -> Ledger:
        """An accelerator on which this process has a context already: else this makes one."""
        import torch

        from qwen_desktop.engine.device import device_name, memory_info

        key = str(device)
        if key not in self._names:
            self._names[key] = device_name(device)
        free, total = memory_info(device)
        counters = CardCounters(
            total,
            free,
            reserved=int(torch.accelerator.memory_reserved(device)),
            allocated=int(torch.accelerator.memory_allocated(device)),
            own=self._own(device),
        )
        return card_ledger(counted, key, self._names[key], counters)

    def rest(self, cards: Sequence[str]) -> None:
        """Only `cards` are in use: others are asked nothing more, and left alone by the driver."""
        for key in self._drivers.keys() - set(cards):
            self._drivers.pop(key).close()

    def _own(self, device: torch.device) -> int | None:
        """Bytes of this process on a card of NVIDIA's; None where nobody tells."""
        import torch

        if device.type != "cuda" or torch.version.hip:
            return None
        key = str(device)
        if key not in self._drivers:
            from qwen_desktop.engine.gpus import OwnMemory

            uuid = str(torch.cuda.get_device_properties(device).uuid)
            self._drivers[key] = OwnMemory(uuid)
        return self._drivers[key].nbytes()

    def _swapped(self) -> tuple[int, int]:
        now = time.monotonic()
        if now >= self._swap_until:
            self._swap_until = now + SWAP_SECONDS
            swap = psutil.swap_memory()
            self._swap = (int(swap.used), int(swap.total))
        return self._swap


def this_process() -> Process:
    """Main memory of this process. Nothing that walks its pages, as psutil's full info does."""
    if _STATUS.exists():
        return _of_linux(_STATUS.read_text(encoding="ascii", errors="replace"))
    info = psutil.Process(os.getpid()).memory_info()
    resident, private = int(info.rss), int(getattr(info, "private", info.rss))
    # Windows: what is committed but not resident is paged out; the other way round it is files.
    return Process(min(resident, private), max(0, resident - private), max(0, private - resident))


def _of_linux(status: str) -> Process:
    """The same from the text of /proc/self/status."""
    sizes = {"RssAnon": 0, "RssShmem": 0, "RssFile": 0, "VmSwap": 0}
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name in sizes:
            sizes[name] = int(value.split()[0]) * 1024
    return Process(sizes["RssAnon"] + sizes["RssShmem"], sizes["RssFile"], sizes["VmSwap"])


class PeakMeter:
    """The highest memory the engine holds on `device`, from now on.

    Cards tell it. What a process holds in main memory cannot be told apart from the window's and
    the libraries' own, and sampling it would miss the moment: there the engine's count stands.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats(device)

    def read(self, counted: int) -> int:
        """Bytes at the highest so far; `counted` by the engine, where the device cannot tell."""
        if self._device.type != "cuda":
            return counted
        import torch

        return int(torch.cuda.max_memory_allocated(self._device))


def ram_sample() -> MemorySample:
    """Main memory while there is no engine yet."""
    return MemorySample((Meter().ram(),))
