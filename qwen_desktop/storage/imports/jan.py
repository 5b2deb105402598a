"""Jan's stored threads: a folder with `thread.json` and `messages.jsonl` for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qwen_desktop.chat.messages import Part, PartKind, Role, Status
from qwen_desktop.chat.record import Record
from qwen_desktop.storage.imports import values
from qwen_desktop.storage.imports.building import Chat, Notes, Step
from qwen_desktop.storage.imports.messages import attachment, file_name, tool_call

THREAD = "thread.json"
MESSAGES = "messages.jsonl"


def is_thread(value: object) -> bool:
    """Whether this is what `thread.json` holds."""
    one = values.fields(value)
    return one.get("object") == "thread" or (
        "assistants" in one and "title" in one and "messages" not in one
    )


def is_message(value: object) -> bool:
    """Whether this is a line of `messages.jsonl`."""
    one = values.fields(value)
    return one.get("object") == "thread.message" or (
        "thread_id" in one and isinstance(one.get("role"), str) and "content" in one
    )


def read(thread: object, lines: Iterable[object], unread: int, now: float) -> tuple[Record, Notes]:
    """The conversation of a thread. `unread` lines were no JSON. Raises Known where it is empty."""
    one = values.fields(thread)
    assistant = values.fields(next(iter(values.items(one.get("assistants"))), None))
    metadata = values.fields(one.get("metadata"))
    chosen = values.fields(assistant.get("model")) or values.fields(one.get("model"))
    model = values.name(chosen.get("id")) or values.name(one.get("model_id"))
    chat = Chat(
        source="",
        now=now,
        title=values.name(one.get("title")) or values.name(one.get("summary")),
        created_at=values.seconds(one.get("created")),
        updated_at=values.seconds(one.get("updated")),
        system_prompt=values.text(assistant.get("instructions")),
        pinned=metadata.get("is_favorite") is True or one.get("isFavorite") is True,
    )
    for _ in range(unread):
        chat.notes.unread()
    before: str | None = None
    named = ""
    for line in lines:
        message = values.fields(line)
        named = named or values.key(message.get("thread_id"))
        step = _step(message, before, model, chat)
        if step is not None:
            chat.steps.append(step)
            before = step.key
    chat.head = before or ""
    name = values.key(one.get("id")) or named
    if not name:
        name = values.digest(chat.title, *(part.text for step in chat.steps for part in step.parts))
    chat.source = f"jan:{name}"
    return chat.record(), chat.notes


def _step(message: Mapping[str, Any], before: str | None, model: str, chat: Chat) -> Step | None:
    role = message.get("role")
    content = message.get("content")
    if not isinstance(role, str) or not isinstance(content, (list, str)):
        chat.notes.unread()
        return None
    role = role.strip().lower()
    metadata = values.fields(message.get("metadata"))
    found = _parts(content, role, chat.notes)
    calls = values.items(metadata.get("tool_calls"))
    for value in calls:
        one = values.fields(value)
        chat.notes.tool()
        found = values.joined(
            found, values.parts((PartKind.TEXT, tool_call(one.get("tool") or one)))
        )
    for value in values.items(message.get("attachments")):
        named = file_name(value) or values.name(values.fields(value).get("file_id"))
        found = values.joined(
            found, values.parts((PartKind.TEXT, attachment("file", named, chat.notes)))
        )
    if role in ("system", "developer") and before is None:
        chat.system_prompt = chat.system_prompt or "\n\n".join(part.text for part in found)
        return None
    aside = bool(calls) or role not in ("user", "assistant")
    if role not in ("user", "assistant"):
        if role == "tool":
            chat.notes.tool()
        else:
            chat.notes.unknown()
        found = values.joined(values.parts((PartKind.TEXT, f"[{values.name(role)}]")), found)
    if not found:
        return None
    said = "\n".join(part.text for part in found)
    status = message.get("status")
    ended = {"stopped": Status.STOPPED, "error": Status.INTERRUPTED, "pending": Status.INTERRUPTED}
    used = values.fields(metadata.get("model")).get("id") or metadata.get("modelId")
    return Step(
        values.key(message.get("id")) or values.digest(before or "", role, said),
        before,
        Role.USER if role == "user" else Role.ASSISTANT,
        found,
        values.seconds(message.get("created_at")),
        (values.name(used) or model) if role == "assistant" else "",
        ended.get(status, Status.COMPLETE) if isinstance(status, str) else Status.COMPLETE,
        aside=aside,
    )


def _parts(content: object, role: str, notes: Notes) -> tuple[Part, ...]:
    found: tuple[Part, ...] = ()
    for value in [content] if isinstance(content, str) else values.items(content):
        one = {"type": "text", "text": value} if isinstance(value, str) else values.fields(value)
        said = one.get("text")
        told = values.text(values.fields(said).get("value")) or values.text(said)
        if one.get("type") == "reasoning":
            new = values.parts((PartKind.REASONING, told))
        elif told:
            new = values.said(told, by_model=role == "assistant")
        elif one.get("type") == "text":
            new = ()
        else:
            kind = values.name(one.get("type")).partition("_")[0] or "file"
            new = values.parts((PartKind.TEXT, attachment(kind, file_name(one), notes)))
        found = values.joined(found, new)
    return found
