"""What is told of requests: numbers and places, never a text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One request that was answered, refused or left. `speed` is tokens a second."""

    time: float  # Unix seconds, at its arrival
    method: str
    path: str  # one of ours, or "other": a path of a stranger's may hold anything
    status: int
    prompt_tokens: int = 0
    cached_tokens: int = 0
    new_tokens: int = 0
    seconds: float = 0.0
    speed: float = 0.0
    left: bool = False  # the client went away, or it was stopped


@dataclass(frozen=True)
class Load:
    """How many requests are there, with the one that is answered."""

    requests: int = 0

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return max(0, self.requests - 1)
