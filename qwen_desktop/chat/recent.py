"""A checkpoint that was opened before, and with which choices. A value; standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recent:
    """What is remembered of a folder that was opened. `precision` is a value of `Precision`."""

    folder: str
    name: str
    family: str = ""  # for people: "Qwen3 MoE"
    parameters: int = 0
    weight_bytes: int = 0  # in memory, as it was opened
    precision: str = "auto"
    placement: str = "auto"
    context: int = 0
    used_at: float = 0.0  # Unix seconds
    kv: str = "model"  # a value of `KvFormat`
    rope_factor: float = 1.0
