"""From the chunks of a server's stream to the events of an answer: text, kinds, counts, scores."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from typing import Any

from qwen_desktop.chat.events import Delta, FinishReason, GenerationEvent, Scored, Usage
from qwen_desktop.chat.messages import AnswerStats, PartKind, TokenScore
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.chat.text import whole
from qwen_desktop.engine.loops import LoopGuard
from qwen_desktop.engine.remote import trouble
from qwen_desktop.engine.segments import Piece, Segmenter, joined
from qwen_desktop.engine.stops import StopStrings
from qwen_desktop.errors import Known

USAGE_SECONDS = 0.5
# A server may not keep to the length that was asked for: characters of an answer until it is left.
SPARE = 1 << 20  # thoughts, which not all servers count, and a short answer in long pieces
PER_TOKEN = 32  # many more than the tokens of any text have on average
_MOST_TOKENS = 1 << 31  # larger counts make no sense
TOP = 32  # alternatives of a token that are looked at
# What this program's own server tells in `stop_reason`; others name the stop string there.
_ENDINGS = {
    r.value: r
    for r in (
        FinishReason.STOP,
        FinishReason.STOP_STRING,
        FinishReason.LENGTH,
        FinishReason.CONTEXT_FULL,
        FinishReason.LOOPING,
    )
}
_MOST_NAMED = 200  # characters of a token in a table of scores

# Models whose chat format opens the thought itself: without a parser on the server, their text
# begins within it.
_OPENS = re.compile(r"thinking|qwq|qwen-?3[._-][5-9]", re.I)


class RemoteAnswer:
    """One answer as it grows. `prompt_tokens` is an estimate until the server tells.

    Counts are those of the server where it gives them at the end; before, a piece of text counts
    as a token.
    """

    def __init__(
        self,
        model: str,
        settings: GenerationSettings,
        *,
        prompt_tokens: int,
        context_length: int,
        unseen: tuple[str, ...],
        thinking: bool,
        continued: bool,
        before: str = "",
    ) -> None:
        self._model = model
        self._context_length = context_length
        self._unseen = unseen
        self._opens = thinking and not continued and bool(_OPENS.search(model))
        self._segmenter: Segmenter | None = None
        self._continued = continued
        self._stops = StopStrings(settings.stops, before=before)
        held = self._stops.held
        self._ahead = held  # of what comes next, this has been told already
        self._guard = LoopGuard(self._piece) if settings.loop_guard else None
        self._room = settings.max_new_tokens * PER_TOKEN + SPARE
        self._halves: dict[str, str] = {}  # of a character, by the field whose rest has to come
        self._pieces: dict[str, int] = {}  # numbers that stand for tokens
        self._texts: list[str] = []
        self._counts = {PartKind.REASONING: 0, PartKind.TEXT: 0}
        self._prompt_tokens = prompt_tokens
        self._reused = 0
        self._usage_told = False
        self._started = time.perf_counter()
        self._first = self._last = 0.0
        self._thinks_since = self._thought_until = 0.0
        self._told = 0.0
        self._reason = ""
        self._stops_asked = settings.stops
        self._more: FinishReason | None = None  # what the server tells beside its `finish_reason`
        self.loops = False

    @property
    def is_over(self) -> bool:
        """Whether the rest is not wanted: a stop string came, it goes in circles, or has no end."""
        return self._stops.found or self.loops or self._room < 0

    @property
    def has_begun(self) -> bool:
        """Whether any text has come."""
        return self._first > 0

    @property
    def has_ended(self) -> bool:
        """Whether the server said why it ended."""
        return bool(self._reason)

    @property
    def is_estimated(self) -> bool:
        """Whether the counts are not the server's own."""
        return not self._usage_told

    @property
    def reason(self) -> FinishReason:
        """Why the answer ended."""
        if self.loops:
            return FinishReason.LOOPING
        if self._stops.found:
            return FinishReason.STOP_STRING
        if self._more is not None:
            return self._more
        is_long = self._reason == "length" or self._room < 0
        return FinishReason.LENGTH if is_long else FinishReason.STOP

    def odd_end(self, host: str) -> Known | None:
        """The sentence where the server ended the answer for a reason that is none of the model's.

        What came stands; None for an ordinary end.
        """
        if self.is_over:
            return None
        if self._reason == "content_filter":
            return trouble.held_back(host)
        if self._reason in ("tool_calls", "function_call") and not self._counts[PartKind.TEXT]:
            return trouble.wants_tool(host)
        if self._reason in ("error", "abort"):
            return trouble.failed(host, self._reason, "")
        return None

    def take(self, chunk: Any) -> Iterator[GenerationEvent]:
        """The events of one chunk. Raises ValueError where it makes no sense."""
        self._take_usage(getattr(chunk, "usage", None))
        choices = getattr(chunk, "choices", None)
        if choices is None and self._is_usage_alone(chunk):
            return
        if not isinstance(choices, list):
            raise ValueError("a chunk without choices")
        for choice in choices[:1]:
            delta = getattr(choice, "delta", None)
            reasoning = self._said(delta, "reasoning_content") or self._said(delta, "reasoning")
            content = self._said(delta, "content") or self._said(delta, "refusal")
            if reasoning:
                yield from self._grow([(PartKind.REASONING, reasoning)], reasoning)
            if content:
                yield from self._grow(self._split(content, reasoned=bool(reasoning)), content)
            yield from self._scored(getattr(choice, "logprobs", None))
            reason = getattr(choice, "finish_reason", None)
            if isinstance(reason, str) and reason:
                self._reason = reason
                extra = getattr(choice, "stop_reason", None) or getattr(
                    choice, "matched_stop", None
                )
                self._more = self._ending(reason, extra)

    def _ending(self, reason: str, extra: object) -> FinishReason | None:
        """What `extra` adds: a stop string in some servers' words, an ending in this program's."""
        if not isinstance(extra, str) or reason not in ("stop", "length"):
            return None
        if extra in self._stops_asked:
            return FinishReason.STOP_STRING
        if extra not in _ENDINGS:
            return FinishReason.STOP_STRING if reason == "stop" else None
        return _ENDINGS[extra]

    def end(self) -> Iterator[GenerationEvent]:
        """What was waiting, and the last counts."""
        pieces = self._segmenter.flush() if self._segmenter is not None else []
        told = self._until_stop(pieces)
        told = joined([*told, (PartKind.TEXT, self._stops.flush())])
        yield from (Delta(kind, text) for kind, text in self._new(told))
        yield self.usage()

    def usage(self) -> Usage:
        """Counts and speeds so far."""
        made = sum(self._counts.values())
        # How long the prompt was read is not known: a queue and the network are in the time to the
        # first token, too.
        stats = AnswerStats(
            model=self._model,
            prompt_tokens=self._prompt_tokens,
            reused_tokens=self._reused,
            reasoning_tokens=self._counts[PartKind.REASONING],
            answer_tokens=self._counts[PartKind.TEXT],
            first_token_seconds=self._first - self._started if self._first else 0.0,
            decode_seconds=self._last - self._first,
            reasoning_seconds=self._thought_until - self._thinks_since,
        )
        return Usage(stats, self._prompt_tokens + made, self._context_length, self._unseen)

    def _grow(self, pieces: list[Piece], text: str) -> Iterator[GenerationEvent]:
        now = time.perf_counter()
        self._room -= len(text)
        self._usage_told = False  # counts that came before are not those of the whole
        first = not self._first
        self._first = self._first or now
        self._last = now
        kind = pieces[-1][0] if pieces else self._kind
        self._counts[kind] += 1
        if kind is PartKind.REASONING:
            self._thinks_since = self._thinks_since or now
            self._thought_until = now
        yield from (Delta(*piece) for piece in self._new(self._until_stop(pieces)))
        if self._guard is not None:
            number = self._pieces.setdefault(text, len(self._pieces))
            if number == len(self._texts):
                self._texts.append(text)
            self.loops = self._guard.feed(number) or self.loops
        if first or now - self._told >= USAGE_SECONDS:
            self._told = now
            yield self.usage()

    def _said(self, delta: Any, name: str) -> str:
        """The text of a field. A character that was cut in two is told when it is whole."""
        text = _text(delta, name)
        if not text:
            return ""
        text = self._halves.pop(name, "") + text
        if "\ud800" <= text[-1] <= "\udbff":
            self._halves[name], text = text[-1], text[:-1]
        return whole(text)

    @property
    def _kind(self) -> PartKind:
        return self._segmenter.kind if self._segmenter is not None else PartKind.TEXT

    def _split(self, text: str, *, reasoned: bool) -> list[Piece]:
        """Text with its think markers. A server that tells reasoning apart opens none."""
        if self._continued:
            return [(PartKind.TEXT, text)]
        if self._segmenter is None:
            apart = reasoned or self._counts[PartKind.REASONING] > 0
            self._segmenter = Segmenter(inside=self._opens and not apart, by_text=True)
        return self._segmenter.text(text)

    def _until_stop(self, pieces: list[Piece]) -> list[Piece]:
        through: list[Piece] = []
        for kind, text in pieces:
            if self._stops.found:
                break
            if kind is PartKind.TEXT:
                through.append((kind, self._stops.feed(text)))
            else:  # a stop string does not reach across reasoning
                through += [(PartKind.TEXT, self._stops.flush()), (kind, text)]
        return joined(through)

    def _new(self, pieces: list[Piece]) -> list[Piece]:
        """`pieces` without what a continued answer had told already."""
        found: list[Piece] = []
        for kind, text in pieces:
            if self._ahead and text:
                same = len(self._ahead) if text.startswith(self._ahead) else 0
                self._ahead, text = "", text[same:]
            if text:
                found.append((kind, text))
        return found

    def _piece(self, number: int) -> bytes:
        return self._texts[number].encode("utf-8", "replace")

    def _take_usage(self, usage: Any) -> None:
        prompt, made = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
        if prompt is None or made is None or not (prompt or made):
            return
        self._usage_told = True
        self._prompt_tokens = prompt
        details = getattr(usage, "completion_tokens_details", None)
        thought = _count(details, "reasoning_tokens")
        if thought is None or (thought == 0 and self._counts[PartKind.REASONING]):
            # Not told: shared out as the pieces were.
            pieces = sum(self._counts.values())
            thought = round(made * self._counts[PartKind.REASONING] / pieces) if pieces else 0
        thought = min(thought, made)
        self._counts = {PartKind.REASONING: thought, PartKind.TEXT: made - thought}
        details = getattr(usage, "prompt_tokens_details", None)
        self._reused = min(prompt, _count(details, "cached_tokens") or 0)

    @staticmethod
    def _is_usage_alone(chunk: Any) -> bool:
        return getattr(chunk, "usage", None) is not None

    def _scored(self, logprobs: Any) -> Iterator[GenerationEvent]:
        rows = _rows(logprobs, "content")
        scores = [score for row in rows if (score := _score(row)) is not None]
        if scores:
            yield Scored(tuple(scores))


def _score(row: Any) -> TokenScore | None:
    """A token with its alternatives. A server tells texts and no ids: those are -1."""
    if (own := _rated(row)) is None:
        return None
    others = (_rated(one) for one in _rows(row, "top_logprobs")[:TOP])
    return TokenScore(-1, *own, tuple((-1, *one) for one in others if one is not None))


def _rated(row: Any) -> tuple[str, float] | None:
    """A token's text and its log probability; None where one of them makes no sense."""
    text, value = getattr(row, "token", None), getattr(row, "logprob", None)
    if (
        not isinstance(text, str)
        or not isinstance(value, (int, float))
        or not abs(value) < math.inf
    ):
        return None
    # Of a whole number that no float holds, the nearest would say as little.
    return whole(text[:_MOST_NAMED]), float(max(-1e6, min(1e6, value)))


def _rows(owner: Any, name: str) -> list[Any]:
    value = getattr(owner, name, None)
    return value if isinstance(value, list) else []


def _text(delta: Any, name: str) -> str:
    value = getattr(delta, name, None)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    return value or ""


def _count(owner: Any, name: str) -> int | None:
    value = getattr(owner, name, None)
    return value if type(value) is int and 0 <= value < _MOST_TOKENS else None
