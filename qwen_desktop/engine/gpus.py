"""The CUDA devices of this machine and their free memory, asked of the driver. No torch.

Importing torch takes seconds and opens a context on the device; NVIDIA's management library
answers in milliseconds, also while the engine is at work. Without a driver there are no devices.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.machinery import PathFinder
from pathlib import Path

import psutil
import pynvml

from qwen_desktop.chat.checkpoint import Device

BFLOAT16_SINCE = (8, 0)  # compute capability; older cards only emulate it

# What the library may raise with a driver that is missing, broken or of another age.
_TROUBLE = (pynvml.NVMLError, OSError, UnicodeError)


@dataclass(frozen=True)
class Gpu:
    """A CUDA device. `capability` is its compute capability: (8, 9)."""

    device: Device
    capability: tuple[int, int]

    @property
    def has_bfloat16(self) -> bool:
        """Whether it computes in bfloat16."""
        return self.capability >= BFLOAT16_SINCE


@dataclass(frozen=True)
class Machine:
    """What a model can be put into, now. `usable` is False where torch cannot use the cards."""

    ram: Device
    gpus: tuple[Gpu, ...]
    usable: bool = True

    @property
    def devices(self) -> tuple[Device, ...]:
        """All memories, cards first, main memory last."""
        return (*(gpu.device for gpu in self.gpus), self.ram)

    def giving_back(self, held: Mapping[str, int]) -> Machine:
        """The machine with the bytes `held` by device id free too: those of the open model."""
        return replace(
            self,
            ram=_freed(self.ram, held),
            gpus=tuple(replace(gpu, device=_freed(gpu.device, held)) for gpu in self.gpus),
        )


def _freed(device: Device, held: Mapping[str, int]) -> Device:
    return replace(device, free=min(device.free + held.get(device.id, 0), device.total))


def this_machine() -> Machine:
    """Memory measured just now. Raises nothing."""
    gpus = cuda_gpus()
    return Machine(main_memory(), gpus, usable=not gpus or driver_runs(torch_cuda()))


def driver_runs(built: str) -> bool:
    """Whether the driver runs what was `built` for that CUDA; every minor version it does."""
    major = built.partition(".")[0]
    if not major.isdigit():
        return bool(built)
    try:
        pynvml.nvmlInit()
    except _TROUBLE:
        return True
    try:
        return int(pynvml.nvmlSystemGetCudaDriverVersion()) // 1000 >= int(major)  # 12080 is 12.8
    except _TROUBLE:
        return True
    finally:
        with suppress(*_TROUBLE):
            pynvml.nvmlShutdown()


def main_memory() -> Device:
    """Main memory, as the device "cpu"."""
    memory = psutil.virtual_memory()
    return Device("cpu", "CPU", int(memory.total), int(memory.available))


def cuda_gpus(environment: Mapping[str, str] = os.environ) -> tuple[Gpu, ...]:
    """The CUDA devices that torch would see, numbered as torch numbers them. Raises nothing."""
    try:
        pynvml.nvmlInit()
    except _TROUBLE:  # no driver, or one that is just being updated
        return ()
    try:
        found = [_gpu(number) for number in range(pynvml.nvmlDeviceGetCount())]
        return _visible(found, environment.get("CUDA_VISIBLE_DEVICES"))
    except _TROUBLE:
        return ()
    finally:
        with suppress(*_TROUBLE):
            pynvml.nvmlShutdown()


def _gpu(number: int) -> tuple[str, Gpu]:
    """The UUID of a device and the device."""
    handle = pynvml.nvmlDeviceGetHandleByIndex(number)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    name, uuid = (
        _text(ask(handle)) for ask in (pynvml.nvmlDeviceGetName, pynvml.nvmlDeviceGetUUID)
    )
    device = Device(f"cuda:{number}", name, int(memory.total), int(memory.free))
    return uuid, Gpu(device, (int(major), int(minor)))


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _visible(found: list[tuple[str, Gpu]], wanted: str | None) -> tuple[Gpu, ...]:
    """Those of `found` that CUDA_VISIBLE_DEVICES names, numbered in its order, as CUDA does.

    It names indices or beginnings of UUIDs; the first name of no device ends the list.
    """
    chosen = [gpu for _, gpu in found]
    if wanted is not None:
        chosen = []
        for name in (part.strip() for part in wanted.split(",")):
            if name.isdigit() and int(name) < len(found):
                chosen.append(found[int(name)][1])
                continue
            matching = [gpu for uuid, gpu in found if name[:4] == "GPU-" and uuid.startswith(name)]
            if len(matching) != 1:
                break
            chosen += matching
    return tuple(
        replace(gpu, device=replace(gpu.device, id=f"cuda:{number}"))
        for number, gpu in enumerate(chosen)
    )


OWN_SECONDS = 1.0  # between two questions: the answer takes the driver a millisecond
ASK_AGAIN_SECONDS = 60.0  # after no answer


class OwnMemory:
    """What the driver says this process has on the card of `uuid`: context, kernels and all.

    Drivers for desktops of Windows do not tell, and in a container processes have other numbers.
    To be asked only while this process has a context on the card, as it wakes one that sleeps.
    """

    def __init__(self, uuid: str) -> None:
        self._uuid = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
        self._until = 0.0
        self._known: int | None = None
        self._open = False

    def nbytes(self) -> int | None:
        """Bytes at most a second ago; None where nobody tells. Raises nothing."""
        now = time.monotonic()
        if now >= self._until:
            self._known = self._asked()
            self._until = now + (ASK_AGAIN_SECONDS if self._known is None else OWN_SECONDS)
        return self._known

    def close(self) -> None:
        """Let go of the driver."""
        if self._open:
            self._open = False
            with suppress(*_TROUBLE):
                pynvml.nvmlShutdown()

    def _asked(self) -> int | None:
        try:
            if not self._open:
                pynvml.nvmlInit()
                self._open = True
            handle = pynvml.nvmlDeviceGetHandleByUUID(self._uuid)
            processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        except _TROUBLE:
            return None
        own = (one.usedGpuMemory for one in processes if one.pid == os.getpid())
        return next((int(nbytes) for nbytes in own if nbytes), None)


def torch_cuda() -> str:
    """The CUDA version the installed torch was built for: "13.0", or "" for none.

    From its files alone; "?" where they do not tell.
    """
    spec = PathFinder.find_spec("torch")
    for folder in (spec and spec.submodule_search_locations) or ():
        try:
            text = (Path(folder) / "version.py").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        found = re.search(r"^cuda\b[^=\n]*=\s*(.+)$", text, re.MULTILINE)
        if found:
            return found.group(1).strip("'\" ").replace("None", "")
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    try:
        return "" if version("torch").endswith("+cpu") else "?"
    except PackageNotFoundError:
        return ""
