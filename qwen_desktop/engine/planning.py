"""Plans the requests of one loaded checkpoint with what its devices have free at the moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

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
from qwen_desktop.engine.device import CARD_MARGIN, free_memory, gigabytes
from qwen_desktop.engine.loaded import Loaded
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

RESERVE_SHARE = 4  # at most a quarter of what there is for a conversation is left alone


@dataclass(frozen=True)
class Ahead:
    """What a conversation of `tokens` would hold at its highest. Bytes, by device."""

    tokens: int
    cache: Mapping[torch.device, int]
    working: Mapping[torch.device, int]  # what a forward takes for a moment
    reserve: Mapping[torch.device, int]


class Planner:
    """Knows what tokens cost where. `held` and `others` are bytes of caches on all devices: of the
    conversation in question, and of all others."""

    def __init__(self, loaded: Loaded, besides: Callable[[], int] = lambda: 0) -> None:
        """`besides` are bytes that the draft model, where there is one, holds for conversations."""
        self._besides = besides
        draft = loaded.draft.runner.capabilities if loaded.draft is not None else None
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
                reserve=(CPU_RESERVE if device.type == "cpu" else CARD_RESERVE) + capabilities.kept,
                rooms=capabilities.rooms,
                forward=capabilities.forward,
                besides=draft.kv_bytes_per_token if draft and draft.device == device else 0,
            )
            for device in dict.fromkeys(devices)
        }
        tokens = [costs.cache(1) for costs in self._costs.values()]
        self._shares = [part / max(1, sum(tokens)) for part in tokens]

    @property
    def context_length(self) -> int:
        """Tokens that the model's context holds."""
        return self._context_length

    @property
    def main(self) -> torch.device:
        """Where inputs go and logits come from."""
        return self._main

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """The devices of the decoder layers, in the order of `rooms`."""
        return tuple(self._costs)

    @property
    def chunk(self) -> int:
        """Tokens of the pieces a prompt is read in where there is room for them."""
        return self._chunk

    def limit(self, held: int, others: int) -> int:
        """Tokens that the context may hold now: the model's, or fewer where memory is short."""
        return context_limit(self.rooms(held, others), self._context_length, self._chunk)

    def plan(self, prompt: int, end: int, held: int, others: int) -> RequestPlan:
        """How to read a prompt of `prompt` tokens and to go on to `end` tokens at most."""
        return plan_request(self.rooms(held, others), prompt, end, self._chunk)

    def ahead(self, tokens: int, held: int, others: int) -> Ahead:
        """What the conversation would hold with `tokens` in it, as a plan for it would say now."""
        rooms = self.rooms(held, others)
        chunk = plan_request(rooms, tokens, tokens, self._chunk).chunk
        costs = {device: room.costs for device, room in zip(self._costs, rooms, strict=True)}
        return Ahead(
            tokens,
            {device: one.cache(tokens) for device, one in costs.items()},
            {
                device: max(one.working(chunk, tokens), one.working(1, tokens))
                for device, one in costs.items()
            },
            {device: one.reserve + _margin(device) for device, one in costs.items()},
        )

    def spread(self, nbytes: int) -> dict[torch.device, int]:
        """Where `nbytes` of caches lie."""
        return {
            device: int(share * nbytes)
            for device, share in zip(self._costs, self._shares, strict=True)
        }

    def on_main(self, nbytes: int) -> int:
        """How much of `nbytes` of caches lies on the main device."""
        return self.spread(nbytes).get(self._main, 0)

    def working(self, chunk: int, context: int) -> int:
        """Bytes that a forward of `chunk` tokens up to `context` takes on the main device."""
        return self._main_costs.working(chunk, context)

    def steady(self, tokens: int) -> int:
        """Bytes that a conversation of `tokens` keeps on the main device, the weights aside."""
        return self._main_costs.cache(tokens)

    def peak(self, prompt: int, end: int, read: int) -> int:
        """Bytes that it takes there at the highest, the weights aside and without a reserve.

        `read` tokens of the prompt are read, the others were before; then it goes on to `end`.
        """
        costs = replace(self._main_costs, reserve=0)
        return costs.need(prompt, end, min(self._chunk, max(1, read)))

    def room(self, held: int, others: int) -> int:
        """Bytes that a conversation may take there, the reserve left alone."""
        rooms = self.rooms(held, others)
        room = rooms[self.devices.index(self._main)] if self._main in self._costs else rooms[0]
        return room.most - room.costs.reserve

    @property
    def _main_costs(self) -> Costs:
        return self._costs.get(self._main) or next(iter(self._costs.values()))

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
            code="no-memory",
            tokens=f"{tokens:,}",
            kv=gigabytes(sum(one.cache(tokens) for one in costs)),
            free=gigabytes(free_memory(self._main)),
        )

    def rooms(self, held: int, others: int) -> list[Room]:
        """Each device as it is now, and what tokens cost there."""
        rooms = []
        for (device, costs), share in zip(self._costs.items(), self._shares, strict=True):
            free = max(0, free_memory(device) - _margin(device))
            free += self._besides() if costs.besides else 0
            room = Room(costs, free, int(share * held), int(share * others))
            # A machine with less than the reserve may still answer with a small model. What the
            # conversation holds counts: else its limit would move while it grows.
            reserve = min(costs.reserve, room.most // RESERVE_SHARE)
            rooms.append(replace(room, costs=replace(costs, reserve=reserve)))
        return rooms


def _margin(device: torch.device) -> int:
    """What the allocator is told to leave free (`limit_memory`): no plan may count on it."""
    return CARD_MARGIN if device.type == "cuda" else 0
