"""What generates, as the server sees it: the engine stands behind it, or the window's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from qwen_desktop.chat.events import GenerationEvent
from qwen_desktop.chat.model import GenerationRequest, ModelInfo
from qwen_desktop.errors import Report


class Phase(str, Enum):
    """Whether requests can be answered now."""

    LOADING = "loading"
    READY = "ready"
    NONE = "none"  # no checkpoint is open
    ENGAGED = "engaged"  # the engine does something else that takes long


@dataclass(frozen=True)
class Standing:
    """`info` is there where the phase is READY."""

    phase: Phase
    info: ModelInfo | None = None


@dataclass(frozen=True)
class Job:
    """One answer to be made. `put` takes its events, from any thread, at last Finished or a Report.

    `stop` ends it within a token; Finished comes then too.
    """

    id: str
    request: GenerationRequest
    stop: threading.Event
    put: Callable[[GenerationEvent | Report], None]


class Source(Protocol):
    """What generates. Called from the server's thread."""

    def standing(self) -> Standing:
        """How it stands now."""

    def begin(self, job: Job) -> None:
        """Answer `job` when what was asked before is done; returns at once."""

    def prepare(self, request: GenerationRequest) -> None:
        """Read what the next turn begins with, while nobody asks for anything; returns at once.

        The messages of `request` end with the answer that was made.
        """

    def forget(self, conversation_ids: tuple[str, ...]) -> None:
        """Nothing of these has to be kept any more; returns at once."""
