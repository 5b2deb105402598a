"""ChatGPT's `conversations.json`: a list of conversations, each a tree of nodes in `mapping`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qwen_desktop.chat.messages import Part, PartKind, Role, Status
from qwen_desktop.chat.record import Record
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.storage.imports import values
from qwen_desktop.storage.imports.building import Chat, Notes, Step
from qwen_desktop.storage.imports.messages import attachment

_ENDS = {"interrupted": Status.STOPPED, "max_tokens": Status.LENGTH}


def is_chat(value: object) -> bool:
    """Whether this is a conversation of ChatGPT."""
    one = values.fields(value)
    return "mapping" in one and bool(
        {"title", "create_time", "current_node", "conversation_id"} & one.keys()
    )


def read(value: object, now: float) -> tuple[Record, Notes]:
    """The conversation of an entry. Raises Known where it has no messages."""
    one = values.fields(value)
    mapping = one.get("mapping")
    if not isinstance(mapping, dict):
        raise Known(
            QT_TRANSLATE_NOOP("errors", "The messages of this chat are missing: {field}."),
            field="mapping",
        )
    chat = Chat(
        source="",
        now=now,
        title=values.name(one.get("title")),
        created_at=values.seconds(one.get("create_time")),
        updated_at=values.seconds(one.get("update_time")),
        head=values.key(one.get("current_node")),
        pinned=one.get("is_starred") is True or bool(values.seconds(one.get("pinned_time"))),
        archived=one.get("is_archived") is True,
    )
    for node_key, node in mapping.items():
        chat.steps.append(_step(node_key, values.fields(node), chat))
    name = values.key(one.get("conversation_id")) or values.key(one.get("id"))
    if not name:
        said = [f"{step.key} {part.text}" for step in chat.steps for part in step.parts]
        name = values.digest(chat.title, *said)
    chat.source = f"chatgpt:{name}"
    return chat.record(), chat.notes


def _step(key: str, node: Mapping[str, Any], chat: Chat) -> Step:
    parent = values.key(node.get("parent")) or None
    children = tuple(values.key(child) for child in values.items(node.get("children")))
    empty = Step(key, parent, Role.ASSISTANT, (), hidden=True, children=children)
    if node.get("message") is None:
        return empty  # the root, and places of messages that were taken away
    message = values.fields(node["message"])
    author, content = values.fields(message.get("author")), message.get("content")
    if not isinstance(author.get("role"), str) or not isinstance(content, (dict, str)):
        chat.notes.unread()
        return empty
    said = _said(author, values.fields(message), content, chat)
    if said is None or not said.parts:
        return empty
    metadata = values.fields(message.get("metadata"))
    ended = values.fields(metadata.get("finish_details")).get("type")
    status = _ENDS.get(ended, Status.COMPLETE) if isinstance(ended, str) else Status.COMPLETE
    return Step(
        key,
        parent,
        said.role,
        said.parts,
        values.seconds(message.get("create_time")),
        values.name(metadata.get("model_slug")) if said.role is Role.ASSISTANT else "",
        status,
        aside=said.aside,
        children=children,
    )


@dataclass(frozen=True)
class _Said:
    role: Role
    parts: tuple[Part, ...]
    aside: bool = False


def _said(
    author: Mapping[str, Any], message: Mapping[str, Any], content: object, chat: Chat
) -> _Said | None:
    """What a message says; None where that is nothing to show."""
    role = values.text(author["role"]).strip().lower()
    metadata = values.fields(message.get("metadata"))
    kind = values.text(values.fields(content).get("content_type")) or "text"
    if kind == "user_editable_context" or metadata.get("is_user_system_message") is True:
        _take_instructions(content, metadata, chat)
        return None
    files = {
        values.key(one.get("id")): values.name(one.get("name"))
        for file in values.items(metadata.get("attachments"))
        for one in (values.fields(file),)
    }
    found = _content(kind, content, role, _Files(files, chat.notes))
    if role in ("system", "developer"):
        # Mostly empty: where the tree begins.
        _add_system(chat, "\n\n".join(part.text for part in found))
        return None
    if metadata.get("is_visually_hidden_from_conversation") is True:
        if found:
            chat.notes.hidden()
        return None
    if role == "user":
        # Pictures stand in the text; other files only here.
        named = "\n".join(attachment("file", name, chat.notes) for name in files.values())
        return _Said(Role.USER, values.joined(values.parts((PartKind.TEXT, named)), found))
    if not found:
        return None
    if role == "assistant":
        recipient = message.get("recipient")
        is_call = isinstance(recipient, str) and recipient not in ("all", "")
        if is_call:
            chat.notes.tool()
            found = _labelled(f"tool {values.name(recipient)}", found)
        return _Said(Role.ASSISTANT, found, is_call or kind in ("thoughts", "reasoning_recap"))
    if role == "tool":
        chat.notes.tool()
    else:
        chat.notes.unknown()
    label = " ".join(filter(None, (values.name(role), values.name(author.get("name")))))
    return _Said(Role.ASSISTANT, _labelled(label, found), aside=True)


def _labelled(label: str, found: tuple[Part, ...]) -> tuple[Part, ...]:
    return values.joined(values.parts((PartKind.TEXT, f"[{label}]")), found)


def _take_instructions(content: object, metadata: Mapping[str, Any], chat: Chat) -> None:
    """What a user tells of themselves once for all is a system prompt here."""
    data = values.fields(metadata.get("user_context_message_data"))
    told = [
        values.text(data.get("about_user_message")),
        values.text(data.get("about_model_message")),
    ]
    if not any(told):
        own = values.fields(content)
        told = [values.text(own.get("user_profile")), values.text(own.get("user_instructions"))]
    _add_system(chat, "\n\n".join(text.strip() for text in told if text.strip()))


def _add_system(chat: Chat, told: str) -> None:
    if told.strip() and told.strip() not in chat.system_prompt:
        chat.system_prompt = f"{chat.system_prompt}\n\n{told}".strip()


@dataclass(frozen=True)
class _Files:
    """The names of attachments by id; those that stand in the text are taken out."""

    names: dict[str, str]
    notes: Notes

    def word(self, piece: Mapping[str, Any]) -> str:
        """What stands for a picture or a sound in the text."""
        kind = values.name(piece.get("content_type")).partition("_asset")[0]
        pointer = values.text(piece.get("asset_pointer"))
        its_id = next((one for one in self.names if one and pointer.endswith(one)), "")
        name = self.names.pop(its_id, "") or values.name(piece.get("name"))
        return attachment(kind or "file", name, self.notes)


def _content(kind: str, content: object, role: str, files: _Files) -> tuple[Part, ...]:
    one = values.fields(content)
    if isinstance(content, str):
        return values.said(values.text(content), by_model=role == "assistant")
    if kind == "thoughts":
        thoughts = [values.fields(thought) for thought in values.items(one.get("thoughts"))]
        lines = [(values.text(t.get("summary")), values.text(t.get("content"))) for t in thoughts]
        thought = "\n\n".join("\n".join(filter(None, pair)) for pair in lines)
        return values.parts((PartKind.REASONING, thought))
    if kind == "reasoning_recap":
        return values.parts((PartKind.REASONING, values.text(one.get("content"))))
    if kind in ("code", "execution_output"):
        said = values.text(one.get("text"))
        language = values.text(one.get("language"))
        shown = values.fenced(said, "" if language == "unknown" else language)
        return values.parts((PartKind.TEXT, shown)) if said.strip() else ()
    pieces = [_piece(piece, files) for piece in values.items(one.get("parts"))]
    if not pieces:
        # Pages that were read, quotes, errors of tools.
        told = [values.text(one.get(field)) for field in ("title", "url", "name", "result", "text")]
        pieces = [line for line in told if line]
        if kind not in ("text", "multimodal_text"):
            files.notes.unknown()
            pieces = pieces or [f"[{values.name(kind)}]"]
    text = "\n\n".join(piece for piece in pieces if piece.strip())
    return values.said(text, by_model=role == "assistant")


def _piece(piece: object, files: _Files) -> str:
    if isinstance(piece, str):
        return values.text(piece)
    one = values.fields(piece)
    if isinstance(one.get("text"), str):
        return values.text(one["text"])  # what was spoken
    return files.word(one) if one else ""
