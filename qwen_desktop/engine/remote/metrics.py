"""How busy a server is, from the counts that vLLM and SGLang give for Prometheus. Pure."""

from __future__ import annotations

import math
import re

from qwen_desktop.chat.connection import ServerState

MOST_LINES = 100_000

# Names by version, the newest first. Usage is a share from 0 to 1.
_USAGE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage")
_RUNNING = ("vllm:num_requests_running", "sglang:num_running_reqs")
_WAITING = ("vllm:num_requests_waiting", "sglang:num_queue_reqs")
_LINE = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*")


def state_of(text: str) -> ServerState | None:
    """What a page of metrics says; None where it is of another program.

    A server of several engines counts each: shares are averaged, requests added up.
    """
    wanted = {*_USAGE, *_RUNNING, *_WAITING}
    found: dict[str, list[float]] = {}
    for line in text.splitlines()[:MOST_LINES]:
        match = _LINE.fullmatch(line)
        if match is None or match[1] not in wanted:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        if math.isfinite(value) and value >= 0:
            found.setdefault(match[1], []).append(value)
    usage = _first(found, _USAGE)
    running, waiting = _first(found, _RUNNING), _first(found, _WAITING)
    if usage is None and running is None and waiting is None:
        return None
    return ServerState(
        kv_usage=min(1.0, sum(usage) / len(usage)) if usage else None,
        running=int(sum(running)) if running else None,
        waiting=int(sum(waiting)) if waiting else None,
    )


def _first(found: dict[str, list[float]], names: tuple[str, ...]) -> list[float] | None:
    return next((found[name] for name in names if name in found), None)
