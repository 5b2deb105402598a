"""A CUDA card that is not there: counters, an allocator with a limit, a driver that tells.

How it works. Tensors stay in main memory and are computed on the CPU. What is simulated is the
border between the product and torch's CUDA calls:

* The card is a dispatch mode. While it is entered (`with card:`) every tensor that an operation of
  torch allocates in this thread counts as memory of the card until nobody holds it; weights count
  from the load on, wherever they were made. What does not fit is refused by
  torch.OutOfMemoryError, at the very operation, as the caching allocator does.
* `torch.cuda.*` and `torch.accelerator.*` calls for memory answer from these counts, as do the
  NVML calls for the memory of a process. `asked` counts the questions to card and driver.
* Plans may use it ("cuda:0"): a model planned for it is placed in main memory, and its runner says
  that its layers are on the card. So everything above the runner (planner, budget, ladder of
  relief, ledger, alarms) takes the branches of `device.type == "cuda"`.

What it cannot show: kernels of cards, and peaks of their attention, which are others than a CPU's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from qwen_desktop.engine import answering, loader, titling
from qwen_desktop.engine import engine as engine_module
from qwen_desktop.engine.sampling import Sampler
from qwen_desktop.engine.transformers_runner import TransformersRunner

MIB = 2**20
NAME = "Simulated card"
_BLOCK = 512  # bytes that torch's allocator rounds up to
_SEGMENT = 2 * MIB  # that it takes from the card
_CPU = torch.device("cpu")
_LAY_OVER = torch.ops.aten.set_.source_Storage  # a tensor over memory that is there already


class SimulatedCard(TorchDispatchMode):
    """One card of `total` bytes. `context`: what this process takes of it beside torch's count.

    `other` is what other programs hold, to be changed at will. `tells`: whether the driver says
    what each process has.
    """

    def __init__(
        self, total: int, *, context: int = 200 * MIB, other: int = 0, tells: bool = True
    ) -> None:
        super().__init__()
        self.total, self.context, self.other, self.tells = total, context, other, tells
        self.asked = 0  # questions to the card and to the driver
        self.refused = 0
        self.reserved = 0
        self.peak = 0
        self.fraction = 1.0
        self._held: dict[StorageWeakRef, int] = {}
        self._sum = 0  # of `_held`; what is gone is taken out when it matters
        self._plan: loader.Plan | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    # -- the allocator -----------------------------------------------------------------------

    @property
    def allocated(self) -> int:
        """Bytes of all tensors that somebody holds."""
        self._held = {ref: nbytes for ref, nbytes in self._held.items() if not ref.expired()}
        self._sum = sum(self._held.values())
        return self._sum

    @property
    def free(self) -> int:
        """Bytes that nobody has taken from the card."""
        return max(0, self.total - self.other - self.context - self.reserved)

    def hold(self, storage: torch.UntypedStorage) -> None:
        """Count a storage that was made elsewhere. Raises OutOfMemoryError."""
        self._take([storage])

    def empty_cache(self) -> None:
        """Give segments back that hold nothing."""
        self.reserved = _rounded(self.allocated, _SEGMENT)

    def _take(self, storages: list[torch.UntypedStorage]) -> None:
        new = {StorageWeakRef(one): _rounded(one.nbytes(), _BLOCK) for one in storages}
        new = {ref: nbytes for ref, nbytes in new.items() if ref not in self._held}
        wanted = sum(new.values())
        if self._sum + wanted > min(self.peak, self.reserved):
            _ = self.allocated
        need = _rounded(self._sum + wanted, _SEGMENT)
        room = self.total - self.other - self.context
        if need > self.reserved:
            if need > min(room, int(self.fraction * self.total)):
                self.refused += 1
                raise torch.OutOfMemoryError(
                    f"CUDA out of memory. Tried to allocate {wanted} bytes of {room - self._sum}."
                )
            self.reserved = need
        self._held |= new
        self._sum += wanted
        self.peak = max(self.peak, self._sum)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if func is _LAY_OVER:
            return made
        given = {storage.data_ptr() for storage in _storages((args, kwargs or {}))}
        new = [s for s in _storages(made) if s.nbytes() and s.data_ptr() not in given]
        if new:
            self._take(new)
        return made

    # -- what torch and the driver say ---------------------------------------------------------

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Let torch, the driver and the product find the card."""

        def told(value: Callable[[], Any]) -> Callable[..., Any]:
            def answer(*_: Any, **__: Any) -> Any:
                self.asked += 1
                return value()

            return answer

        def set_fraction(fraction: float, _device: Any = None) -> None:
            self.fraction = fraction

        def reset_peak(_device: Any = None) -> None:
            self.peak = self.allocated

        memory = {
            "memory_allocated": told(lambda: self.allocated),
            "memory_reserved": told(lambda: self.reserved),
            "max_memory_allocated": told(lambda: self.peak),
            "empty_cache": lambda: self.empty_cache(),
            "device_count": lambda: 1,
        }
        properties = SimpleNamespace(uuid="simulated", total_memory=self.total, name=NAME)
        for name, value in {
            **memory,
            "is_available": lambda: True,
            "mem_get_info": told(lambda: (self.free, self.total)),
            "reset_peak_memory_stats": reset_peak,
            "set_per_process_memory_fraction": set_fraction,
            "get_device_name": lambda *_: NAME,
            "get_device_capability": lambda *_: (9, 0),
            "get_device_properties": lambda *_: properties,
            "current_device": lambda: 0,
            "synchronize": lambda *_: None,
        }.items():
            patch.setattr(torch.cuda, name, value)
        for name, value in memory.items():
            patch.setattr(torch.accelerator, name, value)
        patch.setattr(torch.accelerator, "get_memory_info", told(lambda: (self.free, self.total)))
        self._install_driver(patch, told)
        self._install_placement(patch)

    def _install_driver(
        self, patch: pytest.MonkeyPatch, told: Callable[[Callable[[], Any]], Any]
    ) -> None:
        def processes() -> list[Any]:
            own = self.context + self.reserved if self.tells else None
            return [
                SimpleNamespace(pid=1, usedGpuMemory=self.other),
                SimpleNamespace(pid=os.getpid(), usedGpuMemory=own),
            ]

        patch.setattr(pynvml, "nvmlInit", told(lambda: None))
        patch.setattr(pynvml, "nvmlShutdown", lambda: None)
        patch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda _: self)
        patch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", told(processes))

    # -- models that are planned for it --------------------------------------------------------

    def _install_placement(self, patch: pytest.MonkeyPatch) -> None:
        real_load = loader.load
        capabilities = TransformersRunner.capabilities
        assert isinstance(capabilities, property)

        def load(plan: loader.Plan, *rest: Any, **options: Any) -> Any:
            self._plan = plan
            model = real_load(plan, *rest, **options)
            if plan.device.type == "cuda":
                for name, tensor in (*model.named_parameters(), *model.named_buffers()):
                    if self._device_of(plan, name) != "cpu":
                        self.hold(tensor.untyped_storage())
            return model

        def seen(runner: TransformersRunner) -> Any:
            found, plan = capabilities.fget(runner), self._plan
            if plan is None or plan.device.type != "cuda":
                return found
            layers = tuple(
                torch.device(self._device_of(plan, f"model.layers.{number}.x"))
                for number in range(len(found.layer_devices))
            )
            return replace(found, device=plan.device, layer_devices=layers)

        def by_device(model: torch.nn.Module) -> dict[str, int]:
            found: dict[str, int] = {}
            for name, tensor in (*model.named_parameters(), *model.named_buffers()):
                device = self._device_of(self._plan, name) if self._plan else "cpu"
                found[device] = found.get(device, 0) + tensor.nbytes
            return found

        def sampler(sampling: Any, ids: Any, _device: Any, **options: Any) -> Sampler:
            return Sampler(sampling, ids, _CPU, **options)

        patch.setattr(loader, "load", load)
        patch.setattr(loader.Plan, "places", {"": "cpu"})
        patch.setattr(TransformersRunner, "capabilities", property(seen))
        patch.setattr(engine_module, "bytes_by_device", by_device)
        patch.setattr(answering, "Sampler", sampler)
        patch.setattr(titling, "Sampler", sampler)

    @staticmethod
    def _device_of(plan: loader.Plan, name: str) -> str:
        """Where the tensor `name` would lie."""
        places = loader.placement.device_map(plan.placing, bool(plan.config.tie_word_embeddings))
        inside = [place for place in places if not place or name.startswith(f"{place}.")]
        return places[max(inside, key=len)]


def _rounded(nbytes: int, unit: int) -> int:
    return -(-nbytes // unit) * unit


def _storages(values: Any) -> list[torch.UntypedStorage]:
    if isinstance(values, torch.Tensor):
        return [values.untyped_storage()]
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, (tuple, list)):
        return []
    return [storage for value in values for storage in _storages(value)]
