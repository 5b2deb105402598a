"""Which device and precision a checkpoint runs with, and what running out of memory looks like."""

from __future__ import annotations

import ctypes
import gc
import os
import sys

import psutil
import torch

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

# Names in safetensors headers -> torch dtypes a language model can run in.
RUNNABLE = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
# Largest model for which a CPU runs 16-bit weights in float32: without AMX or AVX-512-BF16 the
# 16-bit matrix product takes 3.6 times as long, so prefill gains more than decode loses. Above
# it, memory and the speed of decode (bound by bytes read) count for more.
FLOAT32_PARAMETERS = 1_000_000_000


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


def choose_dtype(name: str, stored: str, parameters: int, device: torch.device) -> torch.dtype:
    """The dtype to run in: `name` (auto or a torch name) for weights `stored` as in the headers.

    auto keeps the checkpoint's dtype on CUDA (float16 for bfloat16 where the card has none). On a
    CPU 16-bit weights become float32 up to `FLOAT32_PARAMETERS` where that fits comfortably, else
    bfloat16. Raises Known for a dtype that is none of float32, bfloat16, float16.
    """
    if name != "auto":
        chosen = {str(dtype).removeprefix("torch."): dtype for dtype in RUNNABLE.values()}.get(name)
        if chosen is None:
            raise Known(
                QT_TRANSLATE_NOOP("errors", "Precision {dtype} is not one this version can run."),
                QT_TRANSLATE_NOOP("errors", "Choose auto, float32, bfloat16 or float16."),
                dtype=name,
            )
        return chosen
    dtype = RUNNABLE.get(stored, torch.float32)
    if device.type == "cuda":
        # Not the emulated kind, which is slower than float16.
        has_bfloat16 = torch.cuda.get_device_capability(device) >= (8, 0) or torch.version.hip
        return torch.float16 if dtype is torch.bfloat16 and not has_bfloat16 else dtype
    comfortable = 4 * parameters < 0.6 * free_memory(device)
    if parameters <= FLOAT32_PARAMETERS and comfortable:
        return torch.float32
    return dtype if dtype is torch.float32 and comfortable else torch.bfloat16


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
