"""Which of several ways to compute the same is the quickest on a device. Measured, not assumed."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Mapping

import torch

from qwen_desktop.engine.device import is_out_of_memory
from qwen_desktop.engine.lean.capture import captured

_log = logging.getLogger(__name__)

Way = Callable[[], torch.Tensor]

_CALLS = 8  # that are timed together
_ROUNDS = 3
_ALIKE = 0.02  # of the largest value: by how much ways may differ


def quickest(ways: Mapping[str, Way], device: torch.device) -> str:
    """The name of the quickest of `ways`, which all compute the same on `device`.

    The first one is what the others are compared with, and has to work. Ways that fail, or compute
    something else, are left out. Raises what the first raises, and where memory runs out.
    """
    (first, *others) = ways
    wanted = ways[first]()
    seconds: dict[str, float] = {}
    for name in (first, *others):
        try:
            found = ways[name]()
            off = (found.float() - wanted.float()).abs().max()
            if not bool(off <= _ALIKE * wanted.float().abs().max()):
                _log.warning("%s on %s is off by %g: left out", name, device, float(off))
                continue
            seconds[name] = _seconds(ways[name], device)
        # Kernels that a card or a version of torch lacks are refused by errors of several kinds.
        except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
            if is_out_of_memory(error):
                raise
            _log.info("%s does not work on %s: %s", name, device, error)
    return min(seconds, key=seconds.__getitem__, default=first)


def _seconds(way: Way, device: torch.device) -> float:
    """What a call takes; on a CUDA card within a graph, where its launches take no time."""
    if device.type != "cuda":
        return _timed(lambda: [way() for _ in range(_CALLS)], lambda: None)
    graph = captured(lambda: [way() for _ in range(_CALLS)], device)
    graph.replay()
    return _timed(graph.replay, lambda: torch.cuda.synchronize(device))


def _timed(calls: Callable[[], object], wait: Callable[[], None]) -> float:
    found = []
    for _ in range(_ROUNDS):
        wait()
        began = time.perf_counter()
        calls()
        wait()
        found.append(time.perf_counter() - began)
    return statistics.median(found) / _CALLS
