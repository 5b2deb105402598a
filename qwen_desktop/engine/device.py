"""Which device and precision a checkpoint runs with, and what running out of memory looks like."""

from __future__ import annotations

import ctypes
import gc
import os
import sys

import psutil
import torch

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.engine.precision import settle
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

TORCH_TYPES = {
    Precision.FP32: torch.float32,
    Precision.BF16: torch.bfloat16,
    Precision.FP16: torch.float16,
}


def choose_device(name: str) -> torch.device:
    """The torch device for `name` (auto, cpu, cuda, cuda:1). Raises Known where it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind == "cpu":
        return torch.device("cpu")
    number = int(index) if index.isdigit() else 0
    if kind != "cuda" or not torch.cuda.is_available() or number >= torch.cuda.device_count():
        raise Known(
            QT_TRANSLATE_NOOP("errors", "There is no device {device} on this machine."),
            QT_TRANSLATE_NOOP("errors", "Choose “auto”, or see the README about CUDA."),
            device=name,
        )
    return torch.device("cuda", number)


def device_name(device: torch.device) -> str:
    """The device as people call it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def choose_precision(
    asked: Precision, stored: str, parameters: int, device: torch.device
) -> Precision:
    """What `asked` comes to on `device` for weights `stored` as in the headers."""
    return settle(
        asked,
        stored=stored,
        parameters=parameters,
        device_kind=device.type,
        free=free_memory(device),
        has_bfloat16=has_bfloat16(device),
    )


def has_bfloat16(device: torch.device) -> bool:
    """Whether `device` computes in bfloat16; an emulated kind, slower than float16, is none."""
    if device.type != "cuda":
        return True
    return bool(torch.version.hip) or torch.cuda.get_device_capability(device) >= (8, 0)


def free_memory(device: torch.device) -> int:
    """Bytes that can be allocated on `device` now, the allocator's own unused blocks included."""
    if device.type == "cuda":
        free = int(torch.cuda.mem_get_info(device)[0])
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + int(cached)
    return int(psutil.virtual_memory().available)


def give_back(device: torch.device) -> None:
    """Give memory that nobody holds any more back to the system."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        # glibc keeps freed blocks of up to 32 MiB, that is, most matrices of a small model.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # musl has none
            trim(0)


# Below this a kernel is over before a second thread has begun, and on a busy machine the wait for
# that thread costs more than the whole token: the demo checkpoint decodes 10 times quicker alone.
_ONE_THREAD_BELOW = 20_000_000


def use_threads_for(parameters: int) -> None:
    """Let torch use one thread per physical core this process may run on; one for tiny models.

    Hyperthreads only fight over the same units; `OMP_NUM_THREADS` in the environment wins.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return
    if parameters < _ONE_THREAD_BELOW:
        torch.set_num_threads(1)
        return
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(max(1, min(psutil.cpu_count(logical=False) or 1, allowed or 1)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is an allocator's refusal: CUDA's, the CPU allocator's or Python's."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        ("DefaultCPUAllocator" in text and "memory" in text) or "CUDA out of memory" in text
    )


def gigabytes(count: int) -> str:
    """A byte count for a sentence: "3.2 GB"."""
    return f"{count / 1e9:.1f} GB"
