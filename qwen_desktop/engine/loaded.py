"""Everything that belongs to the checkpoint in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from qwen_desktop.chat.model import ModelInfo
from qwen_desktop.engine.checkpoint import Checkpoint
from qwen_desktop.engine.runner import Runner
from qwen_desktop.engine.speculation.draft_model import DraftModel
from qwen_desktop.engine.tokenizer import Tokenizer
from qwen_desktop.errors import Report


@dataclass(frozen=True)
class Loaded:
    """A checkpoint ready to answer. `end_ids` end an answer; bytes are those of the weights."""

    info: ModelInfo
    checkpoint: Checkpoint
    tokenizer: Tokenizer
    runner: Runner[Any]
    end_ids: frozenset[int]
    bytes_by_device: Mapping[str, int]
    draft: DraftModel | None = None  # a model that guesses for it, which counts in the bytes
    no_draft: Report | None = None  # why there is none, though one was wanted

    @property
    def devices(self) -> frozenset[torch.device]:
        """Where weights are."""
        return frozenset(map(torch.device, self.bytes_by_device))

    def close(self) -> None:
        """End what runs beside it."""
        self.runner.close()
        if self.draft is not None:
            self.draft.runner.close()
