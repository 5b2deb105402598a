"""What a conversation takes of the main device as it grows, and what it takes at the moment.

The numbers of a prediction are those that requests are planned by (planning.py).
"""

from __future__ import annotations

import psutil
import torch

from qwen_desktop.chat.measured import Predicted
from qwen_desktop.engine.device import memory_info
from qwen_desktop.engine.loaded import Loaded
from qwen_desktop.engine.planning import Planner
from qwen_desktop.engine.rooms import Rooms

FIRST = 64  # tokens
PER_OCTAVE = 8  # values between a number of tokens and twice as many
STEPS = 32  # of the cache's growth that are shown as such


def predict(
    loaded: Loaded, planner: Planner, held: int, others: int, caches: int, read: int
) -> Predicted:
    """Memory of the checkpoint with one conversation, for growing numbers of tokens.

    `held` and `others` are bytes of caches on all devices: of that conversation, and of all others;
    `caches` of all, with what is remembered beside them. `read`: so many tokens of the prompt are
    new in each turn; 0 for all of them. Workspaces that libraries keep on a card count with the
    weights.
    """
    capabilities, info = loaded.runner.capabilities, loaded.info
    device = capabilities.device
    weights, caches = loaded.bytes_by_device.get(str(device), 0), planner.on_main(caches)
    fixed = weights + max(0, held_now(device, weights + caches) - weights - caches)
    limit = planner.limit(held, others)
    points = tuple(
        (tokens, fixed + planner.steady(tokens), fixed + planner.peak(tokens, tokens, new))
        for tokens in _lengths(max(limit, FIRST), capabilities.rooms)
        for new in (min(read, tokens) if read else tokens,)
    )
    return Predicted(
        name=info.name,
        fingerprint=info.fingerprint,
        precision=info.dtype,
        kv_format=info.kv_format.value,
        device=info.device,
        points=points,
        weights=weights,
        context_length=capabilities.context_length,
        limit_tokens=limit,
        limit_bytes=fixed + planner.room(held, others),
        device_bytes=in_use(device)[1],
    )


def _lengths(most: int, rooms: Rooms) -> list[int]:
    """1, then from `FIRST` tokens in even shares of octaves, `most` at last.

    And both sides of the first steps in which caches grow, as `rooms` says.
    """
    found, octave = {1, most}, 0
    edge = 0
    for _ in range(STEPS):
        edge = rooms.filled(edge + 1)
        found |= {edge, edge + 1}
    while FIRST << octave < most:
        start = FIRST << octave
        found.update(start + start * part // PER_OCTAVE for part in range(PER_OCTAVE))
        octave += 1
    return sorted(tokens for tokens in found if tokens <= most)


def in_use(device: torch.device) -> tuple[int, int]:
    """Bytes of `device` that all programs use together, and bytes it has."""
    if device.type == "cpu":
        memory = psutil.virtual_memory()
        return int(memory.total - memory.available), int(memory.total)
    free, total = memory_info(device)
    return total - free, total


def held_now(device: torch.device, counted: int) -> int:
    """Bytes of tensors on `device`; `counted` by the engine, where the device cannot tell."""
    if device.type != "cuda":
        return counted
    return int(torch.cuda.memory_allocated(device))
