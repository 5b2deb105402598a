"""A smaller model of the same vocabulary that guesses what the larger one will say.

It reads the conversation by itself and takes the likeliest token each time. It keeps what it has
read of the chat that was answered last.
"""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qwen_desktop.engine.device import is_out_of_memory
from qwen_desktop.engine.relief import OutOfMemory, Relief
from qwen_desktop.engine.runner import Logits, Runner
from qwen_desktop.engine.session import Session
from qwen_desktop.engine.speculation.costs import Costs, best_length
from qwen_desktop.engine.tokenizer import Tokenizer
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

_log = logging.getLogger(__name__)

MOST = 7  # drafts of a step
_HOPED = 0.7  # chance of a draft, before anything is known
_WEIGHT, _KEPT = 4.0, 0.95  # as in costs.py
_TRIED_ANEW = 128  # tokens after which it is tried again where it did not pay
_TRIAL = 3  # drafts of a trial


@dataclass(frozen=True)
class DraftModel:
    """A loaded checkpoint that guesses. `name` is that of its folder."""

    name: str
    runner: Runner[Any]
    weight_bytes: int


def check_vocabulary(
    model: Tokenizer, draft: Tokenizer, name: str, *, marks: tuple[str, str]
) -> None:
    """Refuse a draft model called `name` whose tokens are not those of the model. Raises Known.

    `marks` are those of both tokenizers' files: where they are equal, nothing else is compared.
    """
    if marks[0] and marks[0] == marks[1]:
        return
    count = model.vocabulary
    alike = (
        draft.vocabulary == count
        and dict(model.added) == dict(draft.added)
        and all(model.piece(token) == draft.piece(token) for token in range(count))
    )
    if not alike:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{draft} cannot guess for this model: its tokens differ."),
            QT_TRANSLATE_NOOP("errors", "Choose a smaller model of the same series."),
            draft=name,
            details=f"{draft.vocabulary} tokens, {count} of the model",
        )


class Drafting:
    """Guesses for one conversation after the other. Lives on the engine's thread."""

    def __init__(self, model: DraftModel, vocab_size: int) -> None:
        """`vocab_size` is that of the model which it guesses for."""
        self._model = model
        self._vocab_size = min(vocab_size, model.runner.capabilities.vocab_size)
        self._session: Session | None = None
        self._seconds: deque[float] = deque(maxlen=9)  # of a step
        self._came, self._seen = _HOPED * _WEIGHT, _WEIGHT
        self._resting = 0  # tokens since it was found not to pay

    @property
    def name(self) -> str:
        """Of the folder of its model."""
        return self._model.name

    @property
    def nbytes(self) -> int:
        """Memory of what it has read. From any thread."""
        session = self._session
        return session.nbytes if session is not None else 0

    def drop(self) -> None:
        """Give up what it has read."""
        self._session = None

    def tell(self, came: bool) -> None:
        """The next one of its drafts `came`, or did not."""
        self._came = self._came * _KEPT + came
        self._seen = self._seen * _KEPT + 1.0

    def best_length(self, costs: Costs, room: int, others: float) -> int:
        """How many tokens to guess, at most `room`; 0 where it does not pay.

        `others`: what drafts of another source bring, in tokens for the time of one.
        """
        chance = self._came / self._seen
        each = statistics.median(self._seconds) / costs.step if self._seconds else 0.0
        count, brings = best_length(costs, lambda _: chance, min(room, MOST), each)
        if count and brings > others:
            self._resting = 0
            return count
        self._resting += 1
        if self._resting >= _TRIED_ANEW and others <= 1.0 and room >= _TRIAL:
            self._resting = 0
            return _TRIAL
        return 0

    def draft(self, text: Sequence[int], count: int, cancel: threading.Event) -> list[int]:
        """`count` tokens that may follow `text`; none where its memory or vocabulary ends.

        Raises Cancelled; what it has read until then stays.
        """
        if len(text) + count > self._model.runner.capabilities.context_length:
            return []
        try:
            return self._drafted(text, count, cancel)
        except Exception as error:
            self._session = None
            if not isinstance(error, OutOfMemory) and not is_out_of_memory(error):
                raise
            _log.info("nothing is guessed: %s", str(error) or "no memory")
            return []

    def _drafted(self, text: Sequence[int], count: int, cancel: threading.Event) -> list[int]:
        runner = self._model.runner
        relief = Relief(runner.capabilities.device, lambda: 0)
        if self._session is None:
            self._session = Session("", runner)
        session = self._session
        kept = session.rewind(text)
        if max(text[kept:]) >= self._vocab_size:
            return []
        for _, piece in session.prefill(
            text, 0, cancel, chunk=runner.capabilities.prefill_chunk, relief=relief
        ):
            logits = piece
        found = [self._likeliest(logits)]
        while len(found) < count:
            began = time.perf_counter()
            found.append(self._likeliest(session.append(found[-1], cancel, relief)))
            self._seconds.append(time.perf_counter() - began)
        return found

    def _likeliest(self, logits: Logits) -> int:
        """The token; rows of the embedding that the model has fewer of are none."""
        return int(logits[: self._vocab_size].argmax())
