"""Recording what a card is asked to do, to have it done again by one launch."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch


@lru_cache
def _side_stream(device: torch.device) -> Any:
    """One for all captures: each stream keeps workspaces of its own for good."""
    return torch.cuda.Stream(device)


def captured(run: Callable[[], object], device: torch.device, pool: Any = None) -> Any:
    """A torch.cuda.CUDAGraph of what `run` does on `device`, which is done once before.

    `pool` is the memory that graphs share which never run at one time. Raises RuntimeError where
    `run` does what cannot be captured, and what an allocator raises.

    Unlike torch.cuda.graph it waits for nothing, so that the card goes on with its work meanwhile,
    and leaves the current stream as it was where a capture fails.
    """
    stream, now = _side_stream(device), torch.cuda.current_stream(device)
    stream.wait_stream(now)
    with torch.cuda.stream(stream):
        run()  # loads kernels and makes workspaces, which a capture must not
    now.wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):
        # Other threads may ask the card for its memory meanwhile, which "global" would not allow.
        if pool is None:
            graph.capture_begin(capture_error_mode="thread_local")
        else:
            graph.capture_begin(pool=pool, capture_error_mode="thread_local")
        try:
            run()
        finally:
            graph.capture_end()
    return graph
