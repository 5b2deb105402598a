"""Open WebUI's export: a list of chats, each with a tree of messages in `chat.history`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qwen_desktop.chat.messages import Part, PartKind, Role, Status
from qwen_desktop.chat.record import Record
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.storage.imports import values
from qwen_desktop.storage.imports.building import Chat, Notes, Step
from qwen_desktop.storage.imports.messages import attachment, content_text, file_name, tool_call


def is_chat(value: object) -> bool:
    """Whether this is an entry of the export, or the chat of one alone."""
    one = values.fields(value)
    inner = values.fields(one.get("chat"))
    return bool({"history", "messages"} & inner.keys()) or isinstance(
        values.fields(one.get("history")).get("messages"), dict
    )


def read(value: object, now: float) -> tuple[Record, Notes]:
    """The conversation of an entry. Raises Known where it has no messages."""
    entry = values.fields(value)
    inner = values.fields(entry.get("chat")) or entry
    history = values.fields(inner.get("history"))
    meta = values.fields(entry.get("meta"))
    chat = Chat(
        source="",
        now=now,
        title=values.name(entry.get("title")) or values.name(inner.get("title")),
        created_at=values.seconds(entry.get("created_at"))
        or values.seconds(inner.get("timestamp")),
        updated_at=values.seconds(entry.get("updated_at")),
        head=values.key(history.get("currentId")),
        system_prompt=values.text(values.fields(inner.get("params")).get("system"))
        or values.text(inner.get("system")),
        folder=_folder(entry),
        tags=_tags(meta.get("tags")) or _tags(inner.get("tags")),
        pinned=entry.get("pinned") is True,
        archived=entry.get("archived") is True,
    )
    if not chat.folder and isinstance(entry.get("folder_id"), str):
        chat.notes.add(
            QT_TRANSLATE_NOOP("errors", "Its folder is left out: the file does not name it.")
        )
    models = [values.name(model) for model in values.items(inner.get("models"))]
    model = models[0] if len(models) == 1 else ""
    for message_key, message in _messages(history, inner):
        _add(message_key, values.fields(message), model, chat)
    name = values.key(entry.get("id")) or values.key(inner.get("id"))
    if not name:
        said = [f"{step.key} {part.text}" for step in chat.steps for part in step.parts]
        name = values.digest(chat.title, *said)
    chat.source = f"openwebui:{name}"
    return chat.record(), chat.notes


def _messages(history: Mapping[str, Any], inner: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found = history.get("messages")
    if isinstance(found, dict):
        return list(found.items())
    # The path that is read lies there once more, as a list; old exports have only that.
    listed = inner.get("messages")
    if not isinstance(listed, list):
        raise Known(
            QT_TRANSLATE_NOOP("errors", "The messages of this chat are missing: {field}."),
            field="chat.history.messages",
        )
    before = ""
    rows = []
    for at, one in enumerate(listed):
        if not isinstance(one, dict):
            rows.append((str(at), one))
            continue
        key = values.key(one.get("id")) or str(at)
        rows.append((key, one if "parentId" in one else {**one, "parentId": before or None}))
        before = key
    return rows


def _folder(entry: Mapping[str, Any]) -> str:
    folder = entry.get("folder")
    return values.name(values.fields(folder).get("name")) or values.name(folder)


def _tags(found: object) -> tuple[str, ...]:
    return tuple(
        values.name(tag) or values.name(values.fields(tag).get("name"))
        for tag in values.items(found)
    )


def _add(key: str, message: Mapping[str, Any], model: str, chat: Chat) -> None:
    parent = values.key(message.get("parentId")) or None
    children = tuple(values.key(child) for child in values.items(message.get("childrenIds")))
    role = message.get("role")
    if not isinstance(role, str) or not isinstance(message.get("content"), (str, list)):
        chat.notes.unread()
        chat.steps.append(Step(key, parent, Role.ASSISTANT, (), hidden=True, children=children))
        return
    role = role.strip().lower()
    found = _parts(role, message, chat)
    aside = False
    if role in ("system", "developer") and parent is None:
        said = "\n\n".join(part.text for part in found)
        chat.system_prompt = chat.system_prompt or said
        found = ()
    elif role not in ("user", "assistant"):
        aside = True
        if role == "tool":
            chat.notes.tool()
        else:
            chat.notes.unknown()
        label = values.parts((PartKind.TEXT, f"[{values.name(role)}]"))
        found = values.joined(label, found)
    error = message.get("error")
    failed = isinstance(error, dict) or error is True
    if failed and not found:
        told = values.text(values.fields(error).get("content")) or "[error]"
        found = values.parts((PartKind.TEXT, told))
    chat.steps.append(
        Step(
            key,
            parent,
            Role.USER if role == "user" else Role.ASSISTANT,
            found,
            values.seconds(message.get("timestamp")),
            (values.name(message.get("model")) or model) if role == "assistant" else "",
            # One that was written when the file was made.
            Status.INTERRUPTED if failed or message.get("done") is False else Status.COMPLETE,
            aside=aside,
            children=children,
        )
    )


def _parts(role: str, message: Mapping[str, Any], chat: Chat) -> tuple[Part, ...]:
    said = content_text(message.get("content"), chat.notes)
    found = values.said(said, by_model=role == "assistant")
    output = values.items(message.get("output"))
    if not found and output:
        found = _output(output, chat.notes)
    files = [
        attachment(values.name(values.fields(f).get("type")) or "file", file_name(f), chat.notes)
        for f in values.items(message.get("files"))
    ]
    named = values.parts((PartKind.TEXT, "\n".join(files)))
    return values.joined(named, found) if role == "user" else values.joined(found, named)


def _output(output: Any, notes: Notes) -> tuple[Part, ...]:
    """The pieces of an answer, where only they are kept."""
    found: tuple[Part, ...] = ()
    for piece in output:
        one = values.fields(piece)
        kind = one.get("type")
        if kind == "function_call":
            notes.tool()
            said = (PartKind.TEXT, tool_call(one))
        elif kind == "function_call_output":
            notes.tool()
            content = one.get("output")
            told = values.text(content) or content_text(content, notes)
            said = (PartKind.TEXT, f"[tool]\n{values.fenced(told)}")
        else:
            told = content_text(one.get("content"), notes) or content_text(
                one.get("summary"), notes
            )
            said = (PartKind.REASONING if kind == "reasoning" else PartKind.TEXT, told)
        found = values.joined(found, values.parts(said))
    return found
