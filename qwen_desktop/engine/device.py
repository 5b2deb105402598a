"""The devices torch can use, their memory, and what running out of it looks like."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import re
import sys
from collections.abc import Iterable

import psutil
import torch

from qwen_desktop.chat.checkpoint import Device, Precision
from qwen_desktop.engine.gpus import Gpu, Machine, cuda_gpus, main_memory

TORCH_TYPES = {
    Precision.FP32: torch.float32,
    Precision.BF16: torch.bfloat16,
    Precision.FP16: torch.float16,
}

# Bytes of a card that torch leaves free. Less than plans reserve for the runtime (CARD_RUNTIME in
# placement.py), so that what was planned to fit is allowed to.
CARD_MARGIN = 256 * 2**20


def machine() -> Machine:
    """Every device that torch can use, with what can be allocated on it now.

    CUDA and ROCm are one to torch; other accelerators are asked by its generic calls. Where torch
    can use none, the cards that the driver tells of are there all the same, as not usable.
    """
    if torch.cuda.is_available():
        kind = "cuda"
    elif (found := torch.accelerator.current_accelerator(check_available=True)) is not None:
        kind = found.type
    else:
        return Machine(main_memory(), cuda_gpus(), usable=False)
    count = torch.accelerator.device_count()
    return Machine(main_memory(), tuple(_card(torch.device(kind, n)) for n in range(count)))


def _card(device: torch.device) -> Gpu:
    total = memory_info(device)[1]
    capability = (99, 0)  # other kinds compute in bfloat16
    if device.type == "cuda" and not torch.version.hip:
        capability = torch.cuda.get_device_capability(device)
    measured = Device(str(device), device_name(device), total, free_memory(device))
    return Gpu(measured, capability)


def has_bfloat16(device: torch.device) -> bool:
    """Whether `device` computes in bfloat16; an emulated kind, slower than float16, is none."""
    if device.type != "cuda":
        return True
    return bool(torch.version.hip) or torch.cuda.get_device_capability(device) >= (8, 0)


def device_name(device: torch.device) -> str:
    """The device as people call it."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type == "xpu":
        return str(torch.xpu.get_device_name(device))
    return str(device.type).upper()


def memory_info(device: torch.device) -> tuple[int, int]:
    """Free and total bytes of an accelerator."""
    try:
        free, total = torch.accelerator.get_memory_info(device)
    except (RuntimeError, NotImplementedError):  # one that shares main memory
        memory = psutil.virtual_memory()
        return int(memory.available), int(memory.total)
    return int(free), int(total)


def free_memory(device: torch.device) -> int:
    """Bytes that can be allocated on `device` now, the allocator's own unused blocks included."""
    if device.type == "cpu":
        return int(psutil.virtual_memory().available)
    held = torch.accelerator.memory_reserved(device) - torch.accelerator.memory_allocated(device)
    return memory_info(device)[0] + int(held)


def give_back(device: torch.device) -> None:
    """Give memory that nobody holds any more back to the system."""
    gc.collect()
    if device.type != "cpu":
        torch.accelerator.empty_cache()
    if sys.platform == "linux":
        # glibc keeps freed blocks of up to 32 MiB, that is, most matrices of a small model.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # musl has none
            trim(0)


def memory_fraction(free: int, held: int, total: int) -> float:
    """The share of a card's `total` bytes that torch may take.

    What is `free` now and what torch has `held` so far, but for `CARD_MARGIN`: kernels and the
    runtime's own grow outside of torch's count.
    """
    return min(1.0, max(0.0, free + held - CARD_MARGIN) / max(total, 1))


def limit_memory(devices: Iterable[torch.device]) -> None:
    """Let torch take no more of CUDA cards than is free now. Others are left alone.

    Without a limit, NVIDIA's driver on Windows moves what does not fit into main memory, ten times
    slower and without a word; with it, the allocator refuses.
    """
    for device in devices:
        if device.type == "cuda":
            free, total = memory_info(device)
            held = int(torch.cuda.memory_reserved(device))
            fraction = memory_fraction(free, held, total)
            torch.cuda.set_per_process_memory_fraction(fraction, device)


def unlimit_memory(devices: Iterable[torch.device]) -> None:
    """Take the limits of `limit_memory` away."""
    for device in devices:
        if device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0, device)


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


# How allocators refuse that have no exception of their own. Libraries of CUDA and ROCm fail by a
# status; the driver itself, outside torch's allocator, by "CUDA error: out of memory".
_REFUSALS = re.compile(
    r"DefaultCPUAllocator.*memory|out of memory|_STATUS_ALLOC_FAILED|std::bad_alloc",
    re.IGNORECASE | re.DOTALL,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is an allocator's refusal: a device's, the CPU's, the system's, Python's."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and bool(_REFUSALS.search(str(error)))


def gigabytes(count: int) -> str:
    """A byte count for a sentence: "3.2 GiB"."""
    return f"{count / 2**30:.1f} GiB"
