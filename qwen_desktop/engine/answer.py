"""From the steps of the decode loop to the events of an answer: text, kinds, counts, speeds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from qwen_desktop.chat.events import Delta, Finished, GenerationEvent, Progress, Usage
from qwen_desktop.chat.messages import AnswerStats, Message, Part, PartKind, Role
from qwen_desktop.engine.decode import End, Prefilled, Step, Token
from qwen_desktop.engine.detokenize import Detokenizer
from qwen_desktop.engine.prompt import Prompt
from qwen_desktop.engine.segments import Mark, Piece, Segmenter
from qwen_desktop.engine.tokenizer import Tokenizer

USAGE_SECONDS = 0.5


class Answer:
    """One answer being made. `started` is a time.perf_counter() at the request's arrival."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt: Prompt,
        *,
        model: str,
        context_length: int,
        started: float,
    ) -> None:
        self._tokenizer = tokenizer
        self._prompt = prompt
        self._model = model
        self._context_length = context_length
        self._detokenizer = Detokenizer(tokenizer.piece)
        self._segmenter = Segmenter(
            inside=prompt.thinking_open,
            by_text=tokenizer.thinks_in_text,
        )
        self._marks = {tokenizer.think_open: Mark.OPEN, tokenizer.think_close: Mark.CLOSE}
        self._marks.pop(None, None)
        self._counts = {PartKind.REASONING: 0, PartKind.TEXT: 0}
        self._waiting: list[int] = []  # tokens since the last delta
        self._ids: list[int] = []
        self._said = Message(Role.ASSISTANT, ())
        self._reused = 0
        self._started = self._prefill_started = started
        self._first = self._last = 0.0  # times of the first and the newest token
        self._prefilled = 0.0
        self._told = 0.0

    @property
    def parts(self) -> tuple[Part, ...]:
        """What has been told so far; of a continued answer, what was there before as well."""
        return self._said.parts

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens of `parts` in order, think markers too; not the one that ended the answer."""
        return tuple(self._ids)

    def events(self, steps: Iterable[Step]) -> Iterator[GenerationEvent]:
        """The events of `steps`, Finished last."""
        for step in steps:
            if isinstance(step, Progress):
                yield step
            elif isinstance(step, Prefilled):
                self._reused = step.reused
                self._prefilled = time.perf_counter()
            elif isinstance(step, Token):
                yield from self._token(step.id)
            else:
                yield from self._end(step)

    def _token(self, token: int) -> Iterator[GenerationEvent]:
        now = time.perf_counter()
        first = not self._first
        self._first = self._first or now
        self._last = now
        mark = self._marks.get(token)
        # A marker belongs to the reasoning it opens or closes.
        kind = PartKind.REASONING if mark else self._segmenter.kind
        self._counts[kind] += 1
        self._waiting.append(token)
        self._ids.append(token)
        if mark:
            pieces = self._segmenter.text(self._detokenizer.flush())
            pieces += self._segmenter.mark(mark)
        else:
            pieces = self._segmenter.text(self._detokenizer.step(token))
        yield from self._deltas(pieces)
        if first or now - self._told >= USAGE_SECONDS:
            self._told = now
            yield self._usage()

    def _deltas(self, pieces: list[Piece]) -> Iterator[Delta]:
        for kind, text in pieces:
            self._said = self._said.appended(kind, text)
            yield Delta(kind, text, tuple(self._waiting))
            self._waiting.clear()

    def _end(self, end: End) -> Iterator[GenerationEvent]:
        yield from self._deltas(self._segmenter.text(self._detokenizer.flush()))
        yield from self._deltas(self._segmenter.flush())
        if self._waiting:
            yield Delta(self._segmenter.kind, "", tuple(self._waiting))
        yield self._usage()
        yield Finished(end.reason)

    def _usage(self) -> Usage:
        made = sum(self._counts.values())
        ended = self._prefilled or time.perf_counter()
        stats = AnswerStats(
            model=self._model,
            prompt_tokens=len(self._prompt.ids),
            reused_tokens=self._reused,
            reasoning_tokens=self._counts[PartKind.REASONING],
            answer_tokens=self._counts[PartKind.TEXT],
            first_token_seconds=self._first - self._started if self._first else 0.0,
            prefill_seconds=ended - self._prefill_started,
            decode_seconds=self._last - self._first,
        )
        tokens = min(len(self._prompt.ids) + made, self._context_length)
        return Usage(stats, tokens, self._context_length, self._prompt.unseen)

    def begin_prefill(self) -> None:
        """The prompt is built; what follows is the model's work."""
        self._prefill_started = time.perf_counter()
