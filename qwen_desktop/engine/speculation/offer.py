"""Whether and how the answers of one loaded checkpoint are guessed ahead."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import torch

from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.choose import Chooser
from qwen_desktop.engine.feeding import Feeding
from qwen_desktop.engine.prompt import Prompt
from qwen_desktop.engine.runner import Logits, Runner
from qwen_desktop.engine.session import Relief, Session
from qwen_desktop.engine.speculation.costs import Costs
from qwen_desktop.engine.speculation.draft_model import Drafting, DraftModel
from qwen_desktop.engine.speculation.feeding import Speculating

# What logits of one row and of several may differ by, over the highest: some steps of their
# numbers, as rows go through other kernels, which round elsewhere.
_DOUBTS = {torch.float32: 2.0**-14, torch.float16: 2.0**-8, torch.bfloat16: 2.0**-6}


class Speculation:
    """Knows what guessing costs with one model. Lives on the engine's thread."""

    def __init__(
        self, runner: Runner[Any], end_ids: frozenset[int], draft: DraftModel | None = None
    ) -> None:
        self._runner, self._end_ids = runner, end_ids
        self._costs = Costs()
        self._drafting = (
            Drafting(draft, runner.capabilities.vocab_size) if draft is not None else None
        )

    @property
    def nbytes(self) -> int:
        """Memory of what the draft model has read. From any thread."""
        return self._drafting.nbytes if self._drafting is not None else 0

    def drop(self) -> int:
        """Give up what the draft model has read: bytes given back."""
        freed = self.nbytes
        if self._drafting is not None:
            self._drafting.drop()
        return freed

    def draft_model(self, feeding: Feeding) -> str:
        """The name of the model that guesses in `feeding`; "" where none does."""
        guesses = isinstance(feeding, Speculating) and self._drafting is not None
        return self._drafting.name if guesses and self._drafting is not None else ""

    def feeding(
        self,
        session: Session,
        prompt: Prompt,
        settings: GenerationSettings,
        chooser: Chooser,
        relief: Relief,
        cancel: threading.Event,
    ) -> Feeding:
        """What feeds the answer to `prompt`.

        Nothing is guessed where that is not wanted, where caches cannot be cropped, and where a
        seed was set: what is drawn at the border between two tokens hangs on the last bits of
        logits, and when it pays to guess hangs on the clock.
        """
        runner = self._runner
        off = settings.speculation == "off" or not session.can_crop
        if off or (settings.seed is not None and not chooser.is_greedy):
            return Feeding(session, cancel, relief, runner.expect)
        doubt = _DOUBTS[runner.capabilities.dtype]
        # The chooser knows what feeds it: a circle of the two would keep the cache alive.
        clear = weakref.WeakMethod(chooser.is_clear)

        def is_clear(logits: Logits) -> bool:
            found = clear()
            return found is not None and found(logits, doubt)

        return Speculating(
            session,
            cancel,
            relief,
            runner.expect,
            ids=prompt.ids,
            costs=self._costs,
            is_clear=is_clear,
            end_ids=self._end_ids,
            drafting=self._drafting,
        )
