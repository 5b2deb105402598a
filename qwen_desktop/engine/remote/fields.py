"""The fields of a request, as each kind of server takes them. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from qwen_desktop.chat.connection import ServerKind
from qwen_desktop.chat.settings import GenerationSettings

STOPS = 4  # stop strings that OpenAI's own protocol takes; the rest is looked for here
_MANY_STOPS = frozenset(
    (ServerKind.VLLM, ServerKind.SGLANG, ServerKind.LLAMA_SERVER, ServerKind.QWEN_DESKTOP)
)

# Sampling beside OpenAI's own fields: the name of each where a kind of server knows it.
_SAME = {name: name for name in ("top_k", "min_p", "repetition_penalty")}
_SAMPLING: Mapping[ServerKind, Mapping[str, str]] = {
    ServerKind.VLLM: _SAME,
    ServerKind.SGLANG: _SAME,
    ServerKind.QWEN_DESKTOP: {**_SAME, "thinking_budget": "thinking_budget"},
    ServerKind.LLAMA_SERVER: {
        "top_k": "top_k",
        "min_p": "min_p",
        "repetition_penalty": "repeat_penalty",
    },
    ServerKind.DASHSCOPE: {
        "top_k": "top_k",
        "repetition_penalty": "repetition_penalty",
        "thinking_budget": "thinking_budget",
    },
    ServerKind.TGI: {},
    ServerKind.OLLAMA: {},
    # Of others it is not known: they are asked, and again without what they refuse.
    ServerKind.OPENAI: _SAME,
}
EXTRA = ("top_k", "min_p", "repetition_penalty", "thinking_budget")

# Fields that a chat can do without. What remains is the request itself.
_NEEDED = ("model", "messages", "stream")

_UNKNOWN = re.compile(
    r"unknown|unrecogni[sz]ed|unexpected|unsupported|not supported|not permitted|forbidden"
    r"|no field|extra (?:fields|inputs)|invalid (?:field|parameter|argument)",
    re.I,
)


def body_of(
    model: str,
    messages: list[dict[str, Any]],
    settings: GenerationSettings,
    kind: ServerKind,
    *,
    thinking: bool,
    continued: bool,
    without: Collection[str] = (),
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body of a request for a streamed answer, and which settings the server is not told.

    `without` are fields that it has refused before. What is not set is left to the server.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": settings.max_new_tokens,
    }
    for name in ("temperature", "top_p", "presence_penalty", "seed"):
        value = getattr(settings, name)
        if value is not None:
            body[name] = value
    if settings.stops:
        stops = list(settings.stops)
        body["stop"] = stops if kind in _MANY_STOPS else stops[:STOPS]
    if settings.logprobs:
        body["logprobs"] = True
        body["top_logprobs"] = settings.logprobs
    left = []
    names = _SAMPLING[kind]
    for name in EXTRA:
        value = getattr(settings, name)
        if value is None or (name == "thinking_budget" and not thinking):
            continue
        if name == "top_k" and value == 0 and kind in (ServerKind.VLLM, ServerKind.SGLANG):
            value = -1  # all of them
        if name in names:
            body[names[name]] = value
        else:
            left.append(name)
    body.update(_thinking(kind, thinking=thinking))
    if continued and kind in (ServerKind.VLLM, ServerKind.SGLANG, ServerKind.OPENAI):
        body["continue_final_message"] = True
        if kind is not ServerKind.SGLANG:
            body["add_generation_prompt"] = False
    elif continued and kind is ServerKind.DASHSCOPE:
        messages[-1]["partial"] = True
    if "max_tokens" in without and "max_completion_tokens" not in without:
        body["max_completion_tokens"] = body["max_tokens"]  # its newer name
    for name in sorted(without):
        if name not in _NEEDED and body.pop(name, None) is not None:
            left.append(name)
    if "max_completion_tokens" in body:
        left.remove("max_tokens")
    return body, tuple(left)


def _thinking(kind: ServerKind, *, thinking: bool) -> dict[str, Any]:
    if kind is ServerKind.DASHSCOPE:
        return {"enable_thinking": thinking}
    if kind is ServerKind.OLLAMA:
        return {} if thinking else {"reasoning_effort": "none"}
    if kind is ServerKind.TGI:
        return {}
    return {"chat_template_kwargs": {"enable_thinking": thinking}}


def refused(said: str, status: int, body: Mapping[str, Any]) -> tuple[str, ...]:
    """Which fields of `body` to leave out after a refusal with `status`; none: that is not why.

    Those that `said` names; where it names none and speaks of a field all the same, all that are
    not OpenAI's own.
    """
    if status not in (400, 422):
        return ()
    spare = [name for name in body if name not in _NEEDED]
    named = [name for name in spare if re.search(rf"(?<![\w]){name}(?![\w])", said)]
    if "top_logprobs" in named or "logprobs" in named:
        named += [n for n in ("logprobs", "top_logprobs") if n in body and n not in named]
    if named or not _UNKNOWN.search(said):
        return tuple(named)
    return tuple(
        name
        for name in spare
        if name in (*EXTRA, "repeat_penalty", "chat_template_kwargs", "enable_thinking")
    )
