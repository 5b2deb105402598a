"""Answers in the form of OpenAI's objects. Pure: values in, JSON objects out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from qwen_desktop.chat.events import (
    Delta,
    Finished,
    FinishReason,
    GenerationEvent,
    Scored,
    Started,
    Usage,
)
from qwen_desktop.chat.messages import (
    AnswerStats,
    Message,
    PartKind,
    Provenance,
    Role,
    TokenScore,
    new_id,
)
from qwen_desktop.chat.model import ModelInfo
from qwen_desktop.serve.reading import Asked

_REASONS = {
    FinishReason.STOP: "stop",
    FinishReason.STOP_STRING: "stop",
    FinishReason.LOOPING: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.CONTEXT_FULL: "length",
}


def to_json(value: object) -> bytes:
    """UTF-8, without spaces."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


def sse(value: object) -> bytes:
    """An event of a stream."""
    return b"data: " + to_json(value) + b"\n\n"


def comment(text: str) -> bytes:
    """A line of a stream that clients pass over."""
    return f": {text}\n\n".encode("ascii", "replace")


DONE = b"data: [DONE]\n\n"


def model_object(info: ModelInfo, since: int) -> dict[str, Any]:
    """The model as /v1/models tells it; what others leave out stands at the end."""
    return {
        "id": info.name,
        "object": "model",
        "created": since,
        "owned_by": "local",
        "max_model_len": info.context_length,
        "family": info.family_name or info.family,
        "parameters": info.parameters,
        "precision": info.dtype,
        "can_think": info.can_think,
        "has_chat_template": info.has_chat_template,
    }


class Written:
    """One answer as it grows, as an object or as the chunks of a stream."""

    def __init__(self, asked: Asked, info: ModelInfo) -> None:
        self._asked = asked
        kind = "chatcmpl-" if asked.chat else "cmpl-"
        chunk = asked.chat and asked.stream
        self._head = {
            "id": kind + new_id(),
            "object": ("chat.completion.chunk" if chunk else "chat.completion")
            if asked.chat
            else "text_completion",
            "created": int(time.time()),
            "model": info.name,
            "system_fingerprint": f"fp_{info.fingerprint[:12]}",
        }
        self.answer = Message(Role.ASSISTANT, ())
        self._ids: list[int] = []
        self._scores: list[TokenScore] = []
        self._waiting: list[Delta] = []  # deltas whose scores are still to come
        self._offset = 0  # characters told before, for the scores of completions
        self.stats = AnswerStats()
        self.provenance: Provenance | None = None
        self.reason: FinishReason | None = None

    # -- what comes in ---------------------------------------------------------------------

    def take(self, event: GenerationEvent) -> Iterator[dict[str, Any]]:
        """Take an event in; the chunks that a stream tells of it."""
        if isinstance(event, Started):
            self.provenance = event.provenance
            if self._asked.chat:
                yield self._chat_chunk({"role": "assistant", "content": ""})
            elif self._asked.echo:
                self._offset = len(self._asked.echo)
                yield self._text_chunk(self._asked.echo)
        elif isinstance(event, Delta):
            self.answer = self.answer.appended(event.kind, event.text)
            self._ids += event.ids
            if self._asked.top is not None:
                self._waiting.append(event)
            elif event.text:
                yield self._delta(event.kind, event.text, None)
        elif isinstance(event, Scored):
            self._scores += event.tokens
            yield from self._scored(event.tokens)
        elif isinstance(event, Usage):
            self.stats = event.stats
        elif isinstance(event, Finished):
            yield from self._scored(())
            self.reason = event.reason
            yield self._last()

    @property
    def is_complete(self) -> bool:
        """Whether the model itself came to the end, or to a string that was asked for as one."""
        return self.reason in (FinishReason.STOP, FinishReason.STOP_STRING)

    @property
    def message(self) -> Message:
        """The answer with its tokens, to be known again."""
        message = self.answer
        return Message(
            Role.ASSISTANT,
            message.parts,
            token_ids=tuple(self._ids),
            provenance=self.provenance,
        )

    def _scored(self, tokens: Sequence[TokenScore]) -> Iterator[dict[str, Any]]:
        """The deltas that waited, the last one with the scores of all."""
        waiting, self._waiting = self._waiting, []
        for number, delta in enumerate(waiting, 1):
            scores = tokens if number == len(waiting) else ()
            if delta.text or scores:
                yield self._delta(delta.kind, delta.text, scores or None)

    # -- a stream --------------------------------------------------------------------------

    def _delta(
        self, kind: PartKind, text: str, scores: Sequence[TokenScore] | None
    ) -> dict[str, Any]:
        if not self._asked.chat:
            return self._text_chunk(text, scores)
        field = "reasoning_content" if kind is PartKind.REASONING else "content"
        return self._chat_chunk({field: text}, scores)

    def _chat_chunk(
        self, delta: dict[str, Any], scores: Sequence[TokenScore] | None = None
    ) -> dict[str, Any]:
        return self._chunk(
            {
                "index": 0,
                "delta": delta,
                "logprobs": self._chat_scores(scores) if scores else None,
                "finish_reason": None,
            }
        )

    def _text_chunk(self, text: str, scores: Sequence[TokenScore] | None = None) -> dict[str, Any]:
        return self._chunk(
            {
                "index": 0,
                "text": text,
                "logprobs": self._text_scores(scores) if scores else None,
                "finish_reason": None,
            }
        )

    def _last(self) -> dict[str, Any]:
        body: dict[str, Any] = {"delta": {}} if self._asked.chat else {"text": ""}
        return self._chunk({"index": 0, **body, "logprobs": None, **self._ending()})

    def _chunk(self, choice: dict[str, Any]) -> dict[str, Any]:
        chunk: dict[str, Any] = {**self._head, "choices": [choice]}
        if self._asked.include_usage:
            chunk["usage"] = None
        return chunk

    def usage_chunk(self) -> dict[str, Any]:
        """The last one of a stream where usage is asked for."""
        return {**self._head, "choices": [], "usage": self.usage()}

    # -- an object -------------------------------------------------------------------------

    def whole(self) -> dict[str, Any]:
        """The finished answer."""
        scores = self._scores if self._asked.top is not None else None
        if self._asked.chat:
            message: dict[str, Any] = {
                "role": "assistant",
                "content": self.answer.text,
                "refusal": None,
            }
            if self.answer.reasoning:
                message["reasoning_content"] = self.answer.reasoning
            found = self._chat_scores(scores) if scores is not None else None
            choice = {"index": 0, "message": message, "logprobs": found, **self._ending()}
        else:
            self._offset = len(self._asked.echo)
            said = "".join(part.text for part in self.answer.parts)
            text = self._asked.echo + said
            found = self._text_scores(scores) if scores is not None else None
            choice = {"index": 0, "text": text, "logprobs": found, **self._ending()}
        return {**self._head, "choices": [choice], "usage": self.usage()}

    def _ending(self) -> dict[str, Any]:
        reason = self.reason or FinishReason.STOP
        # The engine's own word tells more: a loop, a full context.
        return {"finish_reason": _REASONS.get(reason, "stop"), "stop_reason": reason.value}

    def usage(self) -> dict[str, Any]:
        """Tokens that were read, reused and made."""
        stats = self.stats
        return {
            "prompt_tokens": stats.prompt_tokens,
            "completion_tokens": stats.new_tokens,
            "total_tokens": stats.prompt_tokens + stats.new_tokens,
            "prompt_tokens_details": {"cached_tokens": stats.reused_tokens},
            "completion_tokens_details": {"reasoning_tokens": stats.reasoning_tokens},
        }

    # -- log probabilities -----------------------------------------------------------------

    def _chat_scores(self, scores: Sequence[TokenScore]) -> dict[str, Any]:
        top = self._asked.top or 0
        return {
            "content": [
                {
                    **_score(one.text, one.logprob),
                    "top_logprobs": [_score(text, value) for _, text, value in one.top[:top]],
                }
                for one in scores
            ],
            "refusal": None,
        }

    def _text_scores(self, scores: Sequence[TokenScore]) -> dict[str, Any]:
        top = self._asked.top or 0
        offsets = []
        for one in scores:
            offsets.append(self._offset)
            self._offset += len(one.text)
        return {
            "tokens": [one.text for one in scores],
            "token_logprobs": [_number(one.logprob) for one in scores],
            "top_logprobs": [
                {text: _number(value) for _, text, value in one.top[:top]} for one in scores
            ]
            if top
            else None,
            "text_offset": offsets,
        }


LOWEST = -9999.0  # what stands for the logarithm of nothing, as elsewhere


def _number(value: float) -> float:
    return value if value > LOWEST else LOWEST


def _score(text: str, logprob: float) -> dict[str, Any]:
    # Bytes within a character were replaced: then nobody can tell which they were.
    data = None if "\ufffd" in text else list(text.encode("utf-8", "replace"))
    return {"token": text, "logprob": _number(logprob), "bytes": data}
