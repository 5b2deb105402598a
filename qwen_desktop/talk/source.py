"""What generates, as the terminal sees it. The engine is one; whoever has another passes it in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from qwen_desktop.chat.events import GenerationEvent, Progress, PromptCount
from qwen_desktop.chat.inspected import Inspected
from qwen_desktop.chat.ledger import MemorySample
from qwen_desktop.chat.model import GenerationRequest, LoadRequest, ModelInfo


class Source(Protocol):
    """Answers requests, one at a time. All of it on one thread. Methods raise Known, Cancelled."""

    @property
    def info(self) -> ModelInfo | None:
        """The model in use; None where there is none."""

    def load(
        self,
        request: LoadRequest,
        cancel: threading.Event,
        progress: Callable[[Progress], None],
    ) -> ModelInfo:
        """Open a checkpoint in place of the present one."""

    def generate(
        self, request: GenerationRequest, cancel: threading.Event
    ) -> Iterator[GenerationEvent]:
        """Answer the last message of `request`."""

    def count_prompt(self, request: GenerationRequest) -> PromptCount:
        """The tokens that `generate` would feed."""

    def inspect(self, request: GenerationRequest) -> Inspected:
        """The prompt that `generate` would feed, taken apart."""

    def memory(self) -> MemorySample:
        """Where the memory has gone."""
