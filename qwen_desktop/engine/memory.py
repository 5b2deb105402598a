"""Samples of the memory in use, cheap enough to take several times a second from any thread.

No torch at module level: the gauge runs before torch has been imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from qwen_desktop.chat.model import MemoryKind, MemorySample

if TYPE_CHECKING:
    import torch


def ram_sample(weights: int = 0, kv: int = 0) -> MemorySample:
    """Main memory now, `weights` and `kv` bytes of it being the engine's."""
    memory = psutil.virtual_memory()
    used = int(memory.total - memory.available)
    # Freshly read weights can run ahead of the system's own count for a moment.
    weights = min(weights, used)
    kv = min(kv, used - weights)
    return MemorySample(
        kind=MemoryKind.RAM,
        device="RAM",
        total=int(memory.total),
        weights=weights,
        kv=kv,
        activations=0,  # not to be told apart from the rest of the process
        other=used - weights - kv,
    )


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


def cuda_sample(device: torch.device, name: str, weights: int = 0, kv: int = 0) -> MemorySample:
    """Memory of the CUDA device now. What other programs use is in `other`."""
    import torch

    free, total = torch.cuda.mem_get_info(device)
    used = int(total - free)
    reserved = min(int(torch.cuda.memory_reserved(device)), used)
    weights = min(weights, reserved)
    kv = min(kv, reserved - weights)
    return MemorySample(
        kind=MemoryKind.CUDA,
        device=name,
        total=int(total),
        weights=weights,
        kv=kv,
        activations=reserved - weights - kv,
        other=used - reserved,
    )
