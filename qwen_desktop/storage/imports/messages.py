"""Conversations as lists of messages: those of OpenAI's API, and ShareGPT's.

They have neither ids nor times: what is said in a conversation names it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from qwen_desktop.chat.messages import Part, PartKind, Role
from qwen_desktop.chat.record import Record
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.storage.imports import values
from qwen_desktop.storage.imports.building import Chat, Notes, Step, in_a_row

_SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "system": "system",
    "function_call": "tool",
    "observation": "tool",
    "tool": "tool",
}


def is_message(value: object) -> bool:
    """Whether this is a message of OpenAI's API."""
    one = values.fields(value)
    return isinstance(one.get("role"), str) and bool(_SAYS & one.keys())


_SAYS = {"content", "tool_calls", "function_call", "reasoning_content", "reasoning", "refusal"}


def is_openai(value: object) -> bool:
    """Whether this is `{"messages": […]}`."""
    messages = values.items(values.fields(value).get("messages"))
    return any(is_message(one) for one in messages)


def is_turn(value: object) -> bool:
    """Whether this is `{"from": …, "value": …}`."""
    one = values.fields(value)
    return isinstance(one.get("from"), str) and "value" in one


def is_sharegpt(value: object) -> bool:
    """Whether this is `{"conversations": [{"from": …, "value": …}, …]}`."""
    return any(is_turn(one) for one in _turns(value))


def _turns(value: object) -> Sequence[Any]:
    one = values.fields(value)
    return values.items(one.get("conversations")) or values.items(one.get("conversation"))


def openai(value: object, now: float) -> tuple[Record, Notes]:
    """The conversation of `{"messages": […]}` or of a bare list of messages. Raises Known."""
    one = values.fields(value)
    messages = value if isinstance(value, list) else values.items(one.get("messages"))
    chat = Chat("", now, title=values.name(one.get("title") or one.get("name")))
    chat.created_at = values.seconds(one.get("created_at") or one.get("created"))
    chat.updated_at = values.seconds(one.get("updated_at") or one.get("updated"))
    steps = list(_openai_steps(messages, values.name(one.get("model")), chat))
    return _named("openai", chat, steps)


def sharegpt(value: object, now: float) -> tuple[Record, Notes]:
    """The conversation of `{"conversations": [{"from": …, "value": …}, …]}`. Raises Known."""
    one = values.fields(value)
    chat = Chat("", now, title=values.name(one.get("title")))
    chat.system_prompt = values.text(one.get("system"))
    steps: list[Step] = []
    for turn in _turns(value):
        found = values.fields(turn)
        speaker = values.text(found.get("from")).strip().lower()
        if not isinstance(found.get("value"), str):
            chat.notes.unread()
            continue
        said = values.text(found["value"])
        if (step := spoken(_SPEAKERS.get(speaker, speaker), said, chat, not steps)) is not None:
            steps.append(step)
    return _named("sharegpt", chat, steps)


def _named(format_: str, chat: Chat, steps: list[Step]) -> tuple[Record, Notes]:
    chat.steps = list(in_a_row(steps))
    if not chat.steps:
        raise Known(QT_TRANSLATE_NOOP("errors", "There is no message in this chat."))
    # The last key is made of all that was said.
    chat.source = f"{format_}:{values.digest(chat.system_prompt, chat.steps[-1].key)}"
    return chat.record(), chat.notes


def spoken(role: str, said: str, chat: Chat, first: bool) -> Step | None:
    """The step of a plain text, or none where it was the system prompt or is empty.

    `first`: nothing was said before it. Roles that this program does not have become text.
    """
    if not said.strip():
        return None
    if role == "user":
        return Step("", None, Role.USER, values.said(said, by_model=False))
    if role in ("system", "developer") and first:
        chat.system_prompt = f"{chat.system_prompt}\n\n{said}".strip()
        return None
    if role == "assistant":
        return Step("", None, Role.ASSISTANT, values.said(said))
    return other(role, said, chat.notes)


def other(role: str, said: str, notes: Notes, name: str = "") -> Step:
    """A step of a tool or of an unknown role, as text that names it."""
    if role in ("tool", "function"):
        notes.tool()
        said = values.fenced(said)
    else:
        notes.unknown()
    label = " ".join(filter(None, (values.name(role), values.name(name))))
    part = Part(PartKind.TEXT, f"[{label}]\n{said}")
    return Step("", None, Role.ASSISTANT, (part,), aside=True)


def _openai_steps(messages: Iterable[object], model: str, chat: Chat) -> Iterable[Step]:
    before = False
    for value in messages:
        if not is_message(value):
            chat.notes.unread()
            continue
        one = values.fields(value)
        step = _openai_step(one, chat, first=not before)
        if step is None:
            continue
        before = True
        own = values.name(one.get("model")) or model
        created_at = values.seconds(
            one.get("created_at") or one.get("timestamp") or one.get("create_time")
        )
        yield Step(
            "",
            None,
            step.role,
            step.parts,
            created_at,
            own if step.role is Role.ASSISTANT else "",
            aside=step.aside,
        )


def _openai_step(one: dict[str, Any] | Any, chat: Chat, *, first: bool) -> Step | None:
    role = values.text(one["role"]).strip().lower()
    content = content_text(one.get("content"), chat.notes)
    if not content and isinstance(one.get("refusal"), str):
        content = values.text(one["refusal"])
    if role in ("tool", "function"):
        name = one.get("name") or one.get("tool_call_id") or ""
        return other("tool", content, chat.notes, values.text(name)) if content.strip() else None
    if role != "assistant":
        return spoken(role, content, chat, first)
    thoughts = values.text(one.get("reasoning_content")) or values.text(one.get("reasoning"))
    found = (*values.parts((PartKind.REASONING, thoughts)), *values.said(content))
    calls = [*values.items(one.get("tool_calls"))]
    if isinstance(one.get("function_call"), dict):
        calls.append({"function": one["function_call"]})
    for call in calls:
        chat.notes.tool()
        found = values.joined(found, values.parts((PartKind.TEXT, tool_call(call))))
    return Step("", None, Role.ASSISTANT, found, aside=bool(calls)) if found else None


def tool_call(call: object) -> str:
    """A call of a tool, as text: its name and what it was given."""
    function = values.fields(values.fields(call).get("function")) or values.fields(call)
    given = function.get("arguments", function.get("parameters", ""))
    shown = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    name = values.name(function.get("name"))
    return (
        f"[{' '.join(filter(None, ('tool', name)))}]\n{values.fenced(values.text(shown), 'json')}"
    )


def content_text(content: object, notes: Notes) -> str:
    """The text of a content: text, or a list of parts; files are named in it and left out."""
    if isinstance(content, str):
        return values.text(content)
    found = []
    for part in values.items(content):
        if isinstance(part, str):
            found.append(values.text(part))
            continue
        one = values.fields(part)
        kind = values.name(one.get("type"))
        said = one.get("text")
        if isinstance(said, dict):  # {"value": …}, as of assistants
            said = said.get("value")
        if isinstance(said, str):
            found.append(values.text(said))
        elif kind or one:
            found.append(attachment(kind.partition("_")[0] or "file", file_name(one), notes))
    return "\n\n".join(piece for piece in found if piece.strip())


def file_name(one: object) -> str:
    """What a file is called in any of the ways programs write it; "" for one without a name."""
    found = values.fields(one)
    for field in ("filename", "file_name", "name", "title"):
        if called := values.name(found.get(field)):
            return called
    inner = values.fields(found.get("file"))
    return values.name(inner.get("filename") or inner.get("name"))


def attachment(kind: str, name: str, notes: Notes) -> str:
    """The words that stand for a file that is left out: "[image: cat.png]"."""
    notes.file(name or kind)
    return f"[{kind}: {name}]" if name else f"[{kind}]"
