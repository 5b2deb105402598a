"""LM Studio's stored chats, `*.conversation.json`: messages in a row, each with its versions.

What follows a version that was not chosen is not kept there: versions are leaves, but for the
one that is selected. Folders of chats are folders of the disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qwen_desktop.chat.messages import Part, PartKind, Role, Status
from qwen_desktop.chat.record import Record
from qwen_desktop.storage.imports import values
from qwen_desktop.storage.imports.building import Chat, Notes, Step
from qwen_desktop.storage.imports.messages import attachment, content_text, file_name

_ENDS = {
    "userStopped": Status.STOPPED,
    "maxPredictedTokensReached": Status.LENGTH,
    "contextLengthReached": Status.CONTEXT_FULL,
    "failed": Status.FAILED,
}


def is_chat(value: object) -> bool:
    """Whether this is a stored chat."""
    messages = values.items(values.fields(value).get("messages"))
    return any(isinstance(values.fields(one).get("versions"), list) for one in messages)


def read(value: object, now: float, folder: str = "") -> tuple[Record, Notes]:
    """The conversation of a file. `folder` is the one it lay in. Raises Known."""
    one = values.fields(value)
    created_at = values.seconds(one.get("createdAt"))
    chat = Chat(
        source="",
        now=now,
        title=values.name(one.get("name")),
        created_at=created_at,
        updated_at=values.seconds(one.get("assistantLastMessagedAt"))
        or values.seconds(one.get("userLastMessagedAt")),
        system_prompt=values.text(one.get("systemPrompt")),
        folder=values.name(folder),
        pinned=one.get("pinned") is True,
    )
    model = values.name(values.fields(one.get("lastUsedModel")).get("identifier"))
    before: str | None = None
    for message in values.items(one.get("messages")):
        before = _add(values.fields(message), before, model, chat)
    chat.head = before or ""
    # The moment it was made names the file, to the millisecond; nothing in it does better.
    made = values.key(one.get("createdAt"))
    chat.source = f"lmstudio:{made or values.digest(chat.title, chat.head)}"
    return chat.record(), chat.notes


def _add(message: Mapping[str, Any], before: str | None, model: str, chat: Chat) -> str | None:
    """Add all versions of a message; the key of the selected one, below which it goes on."""
    versions = values.items(message.get("versions"))
    if not versions:
        chat.notes.unread()
        return before
    selected = values.count(message.get("currentlySelected"))
    if selected is None or not 0 <= selected < len(versions):
        selected = len(versions) - 1
    chosen = before
    for at, version in enumerate(versions):
        step = _step(values.fields(version), before, model, chat)
        if step is None:
            continue
        chat.steps.append(step)
        if at == selected or chosen == before:
            chosen = step.key
    return chosen


def _step(version: Mapping[str, Any], before: str | None, model: str, chat: Chat) -> Step | None:
    role = version.get("role")
    if not isinstance(role, str):
        chat.notes.unread()
        return None
    role = role.strip().lower()
    found: tuple[Part, ...] = ()
    ended = ""
    blocks = [version] if version.get("type") != "multiStep" else values.items(version.get("steps"))
    for value in blocks:
        block = values.fields(value)
        found = values.joined(found, _block(block, role, chat.notes))
        stats = values.fields(values.fields(block.get("genInfo")).get("stats"))
        ended = values.text(stats.get("stopReason")) or ended
        model = values.name(values.fields(block.get("genInfo")).get("identifier")) or model
    if role in ("system", "developer") and before is None:
        chat.system_prompt = chat.system_prompt or "\n\n".join(part.text for part in found)
        return None
    if role not in ("user", "assistant"):
        chat.notes.unknown()
        label = values.parts((PartKind.TEXT, f"[{values.name(role)}]"))
        found = values.joined(label, found)
    if not found:
        return None
    said = "\n".join(f"{part.kind.value}:{part.text}" for part in found)
    sender = values.fields(version.get("senderInfo")).get("senderName")
    return Step(
        values.digest(before or "", role, said),
        before,
        Role.USER if role == "user" else Role.ASSISTANT,
        found,
        model=(values.name(sender) or model) if role == "assistant" else "",
        status=_ENDS.get(ended, Status.COMPLETE),
        aside=role not in ("user", "assistant"),
    )


def _block(block: Mapping[str, Any], role: str, notes: Notes) -> tuple[Part, ...]:
    content = block.get("content")
    style = values.fields(block.get("style")).get("type")
    is_thought = style == "thinking" or "<|channel|>analysis" in values.text(block.get("prefix"))
    found: tuple[Part, ...] = ()
    for value in [content] if isinstance(content, str) else values.items(content):
        one = {"type": "text", "text": value} if isinstance(value, str) else values.fields(value)
        kind = one.get("type")
        if one.get("isStructural") is True:
            continue  # the marks of thinking themselves
        if kind == "text":
            said = values.text(one.get("text"))
            if is_thought:
                new = values.parts((PartKind.REASONING, said))
            else:
                new = values.said(said, by_model=role == "assistant")
        elif kind == "toolCallRequest":
            notes.tool()
            given = json.dumps(one.get("parameters"), ensure_ascii=False)
            label = f"[tool {values.name(one.get('name'))}]"
            new = values.parts(
                (PartKind.TEXT, f"{label}\n{values.fenced(values.text(given), 'json')}")
            )
        elif kind == "toolCallResult":
            notes.tool()
            told = values.text(one.get("content")) or content_text(one.get("content"), notes)
            new = values.parts((PartKind.TEXT, f"[tool]\n{values.fenced(told)}"))
        else:
            word = values.name(one.get("fileType")) or values.name(kind) or "file"
            new = values.parts((PartKind.TEXT, attachment(word, file_name(one), notes)))
        found = values.joined(found, new)
    if found or block.get("type") in ("contentBlock", "singleStep", None):
        return found
    if block.get("type") in ("toolStatus", "debugInfoBlock", "status"):
        return ()  # what the window showed while it worked
    notes.unknown()
    return ()
