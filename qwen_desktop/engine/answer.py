"""From the steps of the decode loop to the events of an answer: text, kinds, counts, speeds.

Also what ends or turns an answer from within: stop strings, the loop guard, the thinking budget.
They look at each token before the next one is chosen.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator

from qwen_desktop.chat.events import (
    Delta,
    Finished,
    FinishReason,
    GenerationEvent,
    Progress,
    Scored,
    Started,
    Usage,
)
from qwen_desktop.chat.forking import Fork
from qwen_desktop.chat.messages import (
    AnswerStats,
    Message,
    Part,
    PartKind,
    Provenance,
    Role,
    TokenScore,
)
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.choose import Chooser
from qwen_desktop.engine.decode import Prefilled, Step, Token
from qwen_desktop.engine.loops import LoopGuard
from qwen_desktop.engine.output import OutputParser
from qwen_desktop.engine.prompt import Prompt
from qwen_desktop.engine.segments import Piece, joined
from qwen_desktop.engine.thinking import ThinkingBudget
from qwen_desktop.engine.tokenizer import Tokenizer

USAGE_SECONDS = 0.5


class Answer:
    """One answer being made, or one that is continued: then only what is new is told.

    One that is made anew from some token on (`fork`) tells first what stays, as the first run
    told it; its statistics are of what is new. `chooser` is the one the decode loop calls.
    `context_length` is the limit of this request in tokens, `started` a time.perf_counter() at its
    arrival.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt: Prompt,
        chooser: Chooser,
        settings: GenerationSettings,
        *,
        provenance: Provenance,
        model: str,
        context_length: int,
        started: float,
        fork: Fork | None = None,
    ) -> None:
        given = prompt.ids[len(prompt.ids) - prompt.given :]
        self._prompt = prompt
        self._chooser = chooser
        self._provenance = provenance
        self._model = model
        self._context_length = context_length
        self._tokenizer = tokenizer
        self._parser = OutputParser(tokenizer, thinking_open=prompt.thinking_open)
        self._guard = LoopGuard(tokenizer.piece) if settings.loop_guard else None
        self._budget: ThinkingBudget | None = None
        if settings.thinking_budget is not None and tokenizer.can_think:
            self._budget = ThinkingBudget(
                tokenizer, settings.thinking_budget, thinking_open=prompt.thinking_open
            )
        self._counts = {PartKind.REASONING: 0, PartKind.TEXT: 0}  # of what is new
        self._waiting: list[int] = []  # tokens since the last delta
        self._scores: list[TokenScore] = []  # of tokens since the last Scored
        self._ids: list[int] = []
        self._said = Message(Role.ASSISTANT, ())
        self._closed = False  # whether the newest token completed a closing marker
        self._thought = 0  # tokens of reasoning, those of a continued answer too
        self._thinks_since = self._thought_until = 0.0  # times of the first and last new one
        self._kept: list[Delta] = []  # what stays of a fork, as it is told
        self._picked = fork is not None and fork.token is not None  # the next token was
        if fork is None:
            self._replay(given, settings.stops)
        else:
            self._keep(given, settings.stops, thinking_open=prompt.thinking_open)
            if fork.token is not None:
                chooser.force((fork.token,))
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

    @property
    def reused(self) -> int:
        """Tokens of the prompt that had been read before."""
        return self._reused

    def events(self, steps: Iterator[Step]) -> Iterator[GenerationEvent]:
        """Started, the events of `steps`, at last Finished. No more steps are made after that."""
        yield Started(self._provenance, self._prompt.ids)
        yield from self._kept
        self._close_thought()
        for step in steps:
            if isinstance(step, Progress):
                yield step
            elif isinstance(step, Prefilled):
                self._reused = step.reused
                self._prefilled = time.perf_counter()
            elif isinstance(step, Token):
                loops = yield from self._token(step.id)
                if self._parser.stopped or loops:
                    ended = FinishReason.LOOPING if loops else FinishReason.STOP_STRING
                    yield from self._end(ended)
                    return
            else:
                yield from self._end(step.reason, step.token)

    def _replay(self, given: tuple[int, ...], stops: tuple[str, ...]) -> None:
        """Take in what a continued answer said before; nothing otherwise."""
        pieces: list[Piece] = []
        for token in given:
            self._thought += self._parser.kind_of(token) is PartKind.REASONING
            pieces += self._feed(token)
            if self._guard is not None:
                self._guard.feed(token, closes=self._closed)
        self._ids.extend(given)
        said = joined(pieces)
        for kind, text in said + self._parser.begin(stops, said):
            self._said = self._said.appended(kind, text)

    def _keep(self, kept: tuple[int, ...], stops: tuple[str, ...], *, thinking_open: bool) -> None:
        """Take in what stays of another answer: nothing of it is told yet.

        It is told as it was at first, what waits for a stop string included. Where one of `stops`
        is in it, which is new then, they hold from its end on.
        """
        parser = OutputParser(self._tokenizer, thinking_open=thinking_open)
        parser.begin(stops, [])
        for token in kept:
            parser.feed(token)
        if not parser.stopped:
            self._parser.begin(stops, [])
        for token in kept:
            self._thought += self._parser.kind_of(token) is PartKind.REASONING
            self._waiting.append(token)
            self._ids.append(token)
            self._kept += [one for one in self._deltas(self._feed(token)) if isinstance(one, Delta)]
            if self._guard is not None:
                self._guard.feed(token, closes=self._closed)
        if parser.stopped:
            self._parser.stop_at(stops)

    def _token(self, token: int) -> Generator[GenerationEvent, None, bool]:
        """Take in one more token; whether it makes the answer a loop."""
        now = time.perf_counter()
        first = not self._first
        self._first = self._first or now
        self._last = now
        kind = self._parser.kind_of(token)
        if self._chooser.forced and not self._picked:  # the end of a thought
            kind = PartKind.REASONING
        self._picked = False
        self._counts[kind] += 1
        if kind is PartKind.REASONING:
            self._thought += 1
            self._thinks_since = self._thinks_since or now
            self._thought_until = now
        self._waiting.append(token)
        self._ids.append(token)
        if self._chooser.score is not None:
            self._scores.append(self._chooser.score)
        yield from self._deltas(self._feed(token))
        if first or now - self._told >= USAGE_SECONDS:
            self._told = now
            yield self._usage()
        self._close_thought()
        return self._guard is not None and self._guard.feed(token, closes=self._closed)

    def _feed(self, token: int) -> list[Piece]:
        closings = self._parser.closings
        pieces = self._parser.feed(token)
        self._closed = self._parser.closings > closings
        return pieces

    def _close_thought(self) -> None:
        """Let the model end its reasoning where the budget is used up."""
        if self._budget is not None and not self._chooser.is_forcing:
            self._chooser.force(self._budget.closing(self._parser, self._thought, self._ids))

    def _deltas(self, pieces: list[Piece]) -> Iterator[GenerationEvent]:
        for kind, text in pieces:
            self._said = self._said.appended(kind, text)
            yield Delta(kind, text, tuple(self._waiting))
            self._waiting.clear()
        if pieces and self._scores:
            yield Scored(tuple(self._scores))
            self._scores.clear()

    def _end(self, reason: FinishReason, token: int = -1) -> Iterator[GenerationEvent]:
        yield from self._deltas(self._parser.flush())
        if self._waiting:
            kind = PartKind.REASONING if self._parser.thinking else PartKind.TEXT
            yield Delta(kind, "", tuple(self._waiting))
        if self._scores:
            yield Scored(tuple(self._scores))
        yield self._usage()
        yield Finished(reason, end_token=token)

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
            reasoning_seconds=self._thought_until - self._thinks_since,
        )
        tokens = min(len(self._prompt.ids) + made, self._context_length)
        return Usage(stats, tokens, self._context_length, self._prompt.unseen)

    def begin_prefill(self) -> None:
        """The prompt is built; what follows is the model's work."""
        self._prefill_started = time.perf_counter()
