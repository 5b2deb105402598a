"""Plans the requests of one loaded checkpoint with what its devices have free at the moment."""

from __future__ import annotations

from dataclasses import replace

import torch

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.engine.architecture import architecture
from qwen_desktop.engine.budget import (
    CARD_RESERVE,
    CPU_RESERVE,
    Costs,
    RequestPlan,
    Room,
    context_limit,
    plan_request,
)
from qwen_desktop.engine.device import free_memory, gigabytes
from qwen_desktop.engine.loaded import Loaded
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

RESERVE_SHARE = 4  # at most a quarter of what is free is left alone


class Planner:
    """Knows what tokens cost where. `held` and `others` are bytes of caches on all devices: of the
    conversation in question, and of all others."""

    def __init__(self, loaded: Loaded) -> None:
        capabilities = loaded.runner.capabilities
        made = architecture(loaded.checkpoint.config)
        devices = capabilities.layer_devices
        on_cpu = all(device.type == "cpu" for device in devices)
        self._context_length = capabilities.context_length
        self._chunk = capabilities.prefill_chunk
        self._main = capabilities.device
        self._costs: dict[torch.device, Costs] = {
            device: Costs(
                made,
                capabilities.dtype.itemsize,
                capabilities.kv_format,
                tuple(n for n, where in enumerate(devices) if where == device),
                on_cpu=on_cpu,
                reserve=CPU_RESERVE if device.type == "cpu" else CARD_RESERVE,
            )
            for device in dict.fromkeys(devices)
        }
        tokens = [costs.cache(1) for costs in self._costs.values()]
        self._shares = [part / max(1, sum(tokens)) for part in tokens]

    def limit(self, held: int, others: int) -> int:
        """Tokens that the context may hold now: the model's, or fewer where memory is short."""
        return context_limit(self.rooms(held, others), self._context_length, self._chunk)

    def plan(self, prompt: int, end: int, held: int, others: int) -> RequestPlan:
        """How to read a prompt of `prompt` tokens and to go on to `end` tokens at most."""
        return plan_request(self.rooms(held, others), prompt, end, self._chunk)

    def working(self, chunk: int, context: int) -> int:
        """Bytes that a forward of `chunk` tokens up to `context` takes on the main device."""
        costs = self._costs.get(self._main) or next(iter(self._costs.values()))
        return costs.working(chunk, context)

    def no_memory(self, tokens: int, details: str) -> Known:
        """The sentence where even the ladder of relief did not help; `tokens` were to be held."""
        costs = list(self._costs.values())
        coded = all(one.kv is KvFormat.INT8 for one in costs)
        if coded or KvFormat.INT8 not in costs[0].made.kv_formats:
            remedy = QT_TRANSLATE_NOOP(
                "errors", "Shorten the chat, close other programs, or open it in another precision."
            )
        else:
            remedy = QT_TRANSLATE_NOOP(
                "errors",
                "Shorten the chat, or open it with an 8-bit KV cache or in another precision.",
            )
        return Known(
            QT_TRANSLATE_NOOP(
                "errors", "Memory ran out: {tokens} tokens take {kv} of it; {free} are free now."
            ),
            remedy,
            details=details,
            tokens=f"{tokens:,}",
            kv=gigabytes(sum(one.cache(tokens) for one in costs)),
            free=gigabytes(free_memory(self._main)),
        )

    def rooms(self, held: int, others: int) -> list[Room]:
        """Each device as it is now, and what tokens cost there."""
        rooms = []
        for (device, costs), share in zip(self._costs.items(), self._shares, strict=True):
            free = free_memory(device)
            # A machine with less than the reserve may still answer with a small model.
            costs = replace(costs, reserve=min(costs.reserve, free // RESERVE_SHARE))
            rooms.append(Room(costs, free, int(share * held), int(share * others)))
        return rooms
