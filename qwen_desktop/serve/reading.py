"""Requests as clients write them: checked field by field, by the table of settings.

A field that would change nothing here is passed over; one that would, and cannot, is refused. What
is not known at all is refused too: a misspelt field that does nothing costs its author an evening.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.messages import Message, Part, PartKind, Role
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.settings import BY_NAME, GenerationSettings
from qwen_desktop.chat.text import whole
from qwen_desktop.serve.trouble import bad

MAX_MESSAGES = 10_000
MAX_STOPS = 16
MAX_STOP = 500  # characters
MAX_TOP = 20
NO_SETTINGS = GenerationSettings()
SHORT_ANSWER = 16  # tokens of a completion where nothing is said, as OpenAI has it


@dataclass(frozen=True)
class Asked:
    """A request that was read. `model` is "" where it names none; `top` None: no logprobs."""

    chat: bool
    model: str
    messages: tuple[Message, ...]
    settings: GenerationSettings
    stream: bool = False
    include_usage: bool = False
    top: int | None = None
    echo: str = ""  # text that stands before a completion

    def request(self, conversation_id: str, messages: tuple[Message, ...]) -> GenerationRequest:
        """The request for the engine; a prompt that is too long is refused, never shortened."""
        return GenerationRequest(
            conversation_id, messages, self.settings, Policy.ASK, plain=not self.chat
        )


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises Refused."""

    def no_constant(name: str) -> float:
        raise ValueError(f"{name} is no number of JSON")

    try:
        found = json.loads(body, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise bad(f"The body is not valid JSON: {reason}.", code="invalid_json") from None
    if not isinstance(found, dict):
        raise bad("The body must be a JSON object.", code="invalid_json")
    return found


def chat(body: Mapping[str, Any]) -> Asked:
    """A request to /v1/chat/completions. Raises Refused."""
    fields = _Fields(body, _CHAT)
    settings, thinking = fields.settings("max_completion_tokens", "max_tokens"), True
    template = fields.named("chat_template_kwargs")
    for name, value in template.items():
        if name != "enable_thinking":
            raise bad(
                f"The chat format takes no {_quoted(name)} here; enable_thinking alone is known.",
                f"chat_template_kwargs.{_shown(name)}",
            )
        if not isinstance(value, bool):
            raise bad("It must be true or false.", "chat_template_kwargs.enable_thinking")
        thinking = value
    direct = fields.take("enable_thinking", bool, None)  # as DashScope has it
    thinking = thinking if direct is None else bool(direct)
    wanted, top = fields.take("logprobs", bool, False), fields.number("top_logprobs", 0, MAX_TOP)
    if top and not wanted:
        raise bad("top_logprobs asks for logprobs to be true.", "top_logprobs")
    return fields.asked(
        chat=True,
        messages=_messages(body.get("messages")),
        values={**settings, "thinking": thinking},
        top=(top or 0) if wanted else None,
    )


def completion(body: Mapping[str, Any]) -> Asked:
    """A request to /v1/completions. Raises Refused."""
    fields = _Fields(body, _COMPLETION)
    settings = fields.settings("max_tokens")
    settings.setdefault("max_new_tokens", SHORT_ANSWER)
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
        prompt = prompt[0]
    if not isinstance(prompt, str) or not prompt:
        raise bad("Give one text; several prompts or token ids are not taken.", "prompt")
    prompt = whole(prompt)
    echo = fields.take("echo", bool, False)
    top = fields.number("logprobs", 0, MAX_TOP)
    if echo and top is not None:
        raise bad(
            "Log probabilities of the prompt are not computed; leave echo or logprobs.", "echo"
        )
    return fields.asked(
        chat=False,
        messages=(Message(Role.USER, (Part(PartKind.TEXT, prompt),)),),
        values=settings,
        top=top,
        echo=prompt if echo else "",
    )


# -- fields ------------------------------------------------------------------------------------

# Settings by their names in requests, all of them under the same name but the length.
_SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "repetition_penalty",
    "seed",
    "thinking_budget",
    "loop_guard",
)
# Passed over: they say who asks, or how it is paid.
_IDLE = ("user", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "verbosity")


def _is_one(value: object) -> bool:
    return type(value) is int and value == 1


def _is_zero(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0


def _is_empty(value: object) -> bool:
    return value in ([], {}, "")


def _is_false(value: object) -> bool:
    return value is False


def _is_text(value: object) -> bool:
    return isinstance(value, dict) and value.get("type") == "text"


# What is refused unless it changes nothing: the test, and the reason.
_REFUSED: dict[str, tuple[Callable[[object], bool], str]] = {
    "n": (_is_one, "One answer is made for a request: n must be 1."),
    "best_of": (_is_one, "One answer is made for a request: best_of must be 1."),
    "frequency_penalty": (_is_zero, "There is no frequency penalty here; try presence_penalty."),
    "logit_bias": (_is_empty, "Tokens cannot be favoured one by one."),
    "tools": (_is_empty, "Tools are not offered to the model by this server."),
    "functions": (_is_empty, "Tools are not offered to the model by this server."),
    "tool_choice": (lambda v: v in ("none", "auto"), "Tools are not offered by this server."),
    "function_call": (lambda v: v in ("none", "auto"), "Tools are not offered by this server."),
    "parallel_tool_calls": (lambda v: isinstance(v, bool), "It must be true or false."),
    "response_format": (_is_text, "Answers are text; no other response format is enforced."),
    "suffix": (_is_empty, "Text cannot be filled in before a suffix."),
    "store": (_is_false, "This server stores nothing."),
    "modalities": (lambda v: v == ["text"], "Answers are text alone."),
    "reasoning_effort": (
        lambda v: False,
        "Set chat_template_kwargs.enable_thinking, or thinking_budget in tokens.",
    ),
}
_COMMON = (
    "model",
    "stream",
    "stream_options",
    "stop",
    "max_tokens",
    "logprobs",
    *_SAMPLING,
    *_IDLE,
)
_CHAT = frozenset(
    (
        *_COMMON,
        *_REFUSED,
        "messages",
        "max_completion_tokens",
        "top_logprobs",
        "chat_template_kwargs",
        "enable_thinking",
    )
)
_COMPLETION = frozenset((*_COMMON, *_REFUSED, "prompt", "echo"))


class _Fields:
    """The fields of a request. Every method raises Refused. A field that is null is not there."""

    def __init__(self, body: Mapping[str, Any], known: frozenset[str]) -> None:
        self._body = {name: value for name, value in body.items() if value is not None}
        for name, value in self._body.items():
            if name not in known:
                raise bad(f"There is no field {_quoted(name)}.", _shown(name), "unknown_parameter")
            if name in _REFUSED and not _REFUSED[name][0](value):
                raise bad(_REFUSED[name][1], name, "unsupported_value")

    def take(self, name: str, kind: type, default: Any) -> Any:
        """The value of a field that has to be of `kind`."""
        value = self._body.get(name, default)
        if value is not default and not isinstance(value, kind):
            words = {bool: "true or false", str: "a text", dict: "an object"}
            raise bad(f"{name} must be {words[kind]}.", name)
        return value

    def named(self, name: str) -> dict[str, Any]:
        """A field that is an object, empty where it is not there."""
        found: dict[str, Any] = self.take(name, dict, None) or {}
        return found

    def number(self, name: str, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`; None where it is not there."""
        value = self._body.get(name)
        if value is None:
            return None
        if type(value) is not int or not low <= value <= high:
            raise bad(f"{name} must be a whole number from {low} to {high}.", name)
        return value

    def settings(self, *lengths: str) -> dict[str, Any]:
        """Values of settings, by their own names; the first of `lengths` that is there holds."""
        values: dict[str, Any] = {}
        for name in _SAMPLING:
            if name in self._body:
                value = self._body[name]
                values[name] = 0 if name == "top_k" and value == -1 else value  # vLLM: all of them
                self._check(name, name, values[name])
        for name in lengths:
            if name in self._body and "max_new_tokens" not in values:
                self._check(name, "max_new_tokens", self._body[name])
                values["max_new_tokens"] = self._body[name]
        return values

    def _check(self, name: str, setting: str, value: object) -> None:
        row = BY_NAME[setting]
        if not row.accepts(value):
            if row.kind is bool:
                raise bad(f"{name} must be true or false.", name)
            number = "a whole number" if row.kind is int else "a number"
            raise bad(f"{name} must be {number} from {row.minimum:g} to {row.maximum:g}.", name)

    def stops(self) -> tuple[str, ...]:
        """The strings that end an answer."""
        given = self._body.get("stop", [])
        stops = [given] if isinstance(given, str) else given
        if not isinstance(stops, list) or not all(isinstance(one, str) for one in stops):
            raise bad("stop must be a text or a list of texts.", "stop")
        if len(stops) > MAX_STOPS or any(len(one) > MAX_STOP for one in stops):
            raise bad(f"stop takes {MAX_STOPS} texts of {MAX_STOP} characters.", "stop")
        return tuple(whole(one) for one in stops if one)

    def asked(
        self,
        *,
        chat: bool,
        messages: tuple[Message, ...],
        values: dict[str, Any],
        top: int | None,
        echo: str = "",
    ) -> Asked:
        """The request as a whole."""
        options = self.named("stream_options")
        stream = self.take("stream", bool, False)
        if options and not stream:
            raise bad("stream_options asks for stream to be true.", "stream_options")
        include_usage = options.get("include_usage", False)
        if not isinstance(include_usage, bool):
            raise bad("It must be true or false.", "stream_options.include_usage")
        # The engine scores a token only where it is asked for others beside it.
        logprobs = 0 if top is None else max(1, top)
        settings = GenerationSettings(**values, logprobs=logprobs, exact_stops=self.stops())
        model = self.take("model", str, "")
        return Asked(chat, model, messages, settings, stream, include_usage, top, echo)


# -- messages ----------------------------------------------------------------------------------

_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
}
_OF_MESSAGE = frozenset(
    ("role", "content", "name", "reasoning_content", "reasoning", "refusal", "tool_calls")
) | {"annotations", "audio", "function_call"}


def _messages(given: object) -> tuple[Message, ...]:
    if not isinstance(given, list) or not given:
        raise bad("messages must be a list that is not empty.", "messages")
    if len(given) > MAX_MESSAGES:
        raise bad(f"messages takes {MAX_MESSAGES} at most.", "messages")
    found = [_message(value, f"messages.{number}") for number, value in enumerate(given)]
    if any(message.role is Role.SYSTEM for message in found[1:]):
        raise bad("A system message comes first, and there is one.", "messages")
    if found[-1].role is Role.SYSTEM:
        raise bad(
            "The last message must be one of the user, or an answer to go on with.", "messages"
        )
    return tuple(found)


def _message(value: object, where: str) -> Message:
    if not isinstance(value, dict):
        raise bad("A message must be an object.", where)
    role = value.get("role")
    if role in ("tool", "function"):
        raise bad("Tools are not offered by this server.", f"{where}.role", "unsupported_value")
    if not isinstance(role, str) or role not in _ROLES:
        known = ", ".join(_ROLES)
        raise bad(f"role must be one of {known}.", f"{where}.role")
    for name in value:
        if name not in _OF_MESSAGE:
            raise bad(
                f"A message has no field {_quoted(name)}.",
                f"{where}.{_shown(name)}",
                "unknown_parameter",
            )
    for name in ("tool_calls", "function_call", "audio"):
        if value.get(name):
            raise bad("Tools and sound are not taken.", f"{where}.{name}", "unsupported_value")
    parts = []
    reasoning = value.get("reasoning_content") or value.get("reasoning")
    if reasoning is not None and role == "assistant":
        if not isinstance(reasoning, str):
            raise bad("Reasoning must be a text.", f"{where}.reasoning_content")
        parts.append(Part(PartKind.REASONING, whole(reasoning)))
    text = _content(value.get("content"), where)
    if text:
        parts.append(Part(PartKind.TEXT, text))
    if not parts and role == "user":
        raise bad("The message is empty.", f"{where}.content")
    return Message(_ROLES[role], tuple(parts))


def _content(content: object, where: str) -> str:
    """The text of a message: a string, or parts of type text."""
    if content is None:
        return ""
    if isinstance(content, str):
        return whole(content)
    if not isinstance(content, list):
        raise bad("content must be a text or a list of parts.", f"{where}.content")
    texts = []
    for number, part in enumerate(content):
        at = f"{where}.content.{number}"
        if not isinstance(part, dict) or part.get("type") != "text":
            raise bad("Only parts of type text are taken.", at, "unsupported_value")
        if not isinstance(part.get("text"), str):
            raise bad("text must be a text.", f"{at}.text")
        texts.append(part["text"])
    return whole("\n".join(texts))


def _shown(name: str) -> str:
    """A name of the client's own, short enough to be told back."""
    return whole(name[:60])


def _quoted(name: str) -> str:
    return f"“{_shown(name)}”"
