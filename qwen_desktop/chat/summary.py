"""One row of the conversation list, apart: it is all of `chat` that the first paint needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """One row of the conversation list."""

    id: str
    title: str
    preview: str
    updated_at: float
