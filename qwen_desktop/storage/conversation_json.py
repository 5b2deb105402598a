"""Conversations as JSON that loses nothing: `.qwenchat.json`. docs/formats.md tells every field.

`to_value` and `from_value` are exact opposites, but for what no file should hold: an answer that
streams is written as interrupted, and halves of characters are joined or replaced. No SQL here.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from qwen_desktop.chat.messages import (
    AnswerStats,
    Message,
    Part,
    Provenance,
    Status,
    TokenScore,
)
from qwen_desktop.chat.record import Record
from qwen_desktop.chat.text import whole
from qwen_desktop.chat.tree import Conversation
from qwen_desktop.storage import conversation_reading
from qwen_desktop.storage.provenance import provenance_json

EXTENSION = ".qwenchat.json"
FORMAT = conversation_reading.FORMAT
SEVERAL = conversation_reading.SEVERAL
VERSION = conversation_reading.VERSION
WITHOUT_FILES = 1  # version of what has no attached files, and of the list of several

_REMEMBERED = 8  # prompts that the next one is compared with
_STEPS = (1024, 32, 1)  # ids compared at once

from_value = conversation_reading.from_value
entries = conversation_reading.entries
is_ours = conversation_reading.is_ours
parse = conversation_reading.parse


def to_value(record: Record) -> dict[str, Any]:
    """A conversation as what `json` can write, all of it.

    Only str, finite numbers, bool, None, list and dict are in it, and all text is valid UTF-8.
    """
    return {**_head(record), "messages": list(_messages(record))}


def encoded(record: Record) -> bytes:
    """The content of a `.qwenchat.json` file: UTF-8, one message on each line."""
    return "".join((*pieces(record), "\n")).encode()


def pieces(record: Record) -> Iterator[str]:
    """The text of `encoded` a message at a time, without the last line feed."""
    head = ",\n".join(f'"{name}": {_json(value)}' for name, value in _head(record).items())
    yield f'{{\n{head},\n"messages": ['
    separator = "\n"
    for message in _messages(record):
        yield separator + _json(message)
        separator = ",\n"
    yield "\n]\n}"


def several_pieces(records: Iterable[Iterable[str]]) -> Iterator[str]:
    """The text of a file of several conversations, made of the `pieces` of each."""
    yield f'{{\n"format": {_json(SEVERAL)},\n"version": {WITHOUT_FILES},\n"conversations": ['
    separator = "\n"
    for record in records:
        yield separator
        yield from record
        separator = ",\n"
    yield "\n]\n}\n"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))


def _head(record: Record) -> dict[str, Any]:
    conversation = record.conversation
    head: dict[str, Any] = {
        "format": FORMAT,
        "version": _version(record),
        "id": whole(conversation.id),
        "title": whole(conversation.summary().title),
        "title_is_own": bool(conversation.title),
        "created_at": _number(conversation.created_at),
        "updated_at": _number(conversation.updated_at),
        "pinned": record.pinned,
        "archived": record.archived,
        "folder": whole(record.folder),
        "tags": [whole(tag) for tag in record.tags],
        "options": _options(conversation),
    }
    if record.source:
        head["source"] = whole(record.source)
    head["head"] = None if conversation.tree.head is None else whole(conversation.tree.head)
    return head


def _options(conversation: Conversation) -> dict[str, Any]:
    policy, values = conversation.options.policy, conversation.options.values
    kept: dict[str, Any] = {} if policy is None else {"policy": policy.value}
    if values:
        kept["values"] = {
            whole(name): whole(value) if isinstance(value, str) else value
            for name, value in values.items()
            if not isinstance(value, float) or math.isfinite(value)
        }
    return kept


def _messages(record: Record) -> Iterator[dict[str, Any]]:
    messages = record.conversation.tree.messages
    parents = {message.id: message.parent_id for message in messages.values()}
    prompts = _Prompts()
    for message in messages.values():
        yield {
            "id": whole(message.id),
            "parent": None if message.parent_id is None else whole(message.parent_id),
            "role": message.role.value,
            "created_at": _number(message.created_at),
            "status": _status(message).value,
            "parts": [_part(part) for part in message.parts],
            **_rare(message, parents),
            **_trace(record, message, prompts),
        }


def _part(part: Part) -> dict[str, str]:
    name = {"name": whole(part.name)} if part.name else {}
    return {"kind": part.kind.value, **name, "text": whole(part.text)}


def _version(record: Record) -> int:
    """The least that tells all of it: what has no files can be read by older versions too."""
    messages = record.conversation.tree.messages.values()
    return VERSION if any(message.files for message in messages) else WITHOUT_FILES


def _status(message: Message) -> Status:
    # Whoever reads the file does not write the answer that somebody else began.
    return Status.INTERRUPTED if message.status is Status.STREAMING else message.status


def _rare(message: Message, parents: Mapping[str, str | None]) -> dict[str, Any]:
    """What most messages do not have; left out where there is nothing to say."""
    found: dict[str, Any] = {}
    if message.error:
        found["error"] = whole(message.error)
    for name in ("pinned", "damaged"):
        if getattr(message, name):
            found[name] = True
    if message.stats is not None:
        found["stats"] = _stats(message.stats)
    if message.provenance is not None:
        found["provenance"] = _provenance(message.provenance, parents)
    if message.token_ids:
        found["token_ids"] = list(message.token_ids)
    return found


def _stats(stats: AnswerStats) -> dict[str, Any]:
    return {
        name: whole(value) if isinstance(value, str) else _number(value)
        for name, value in asdict(stats).items()
    }


def _provenance(provenance: Provenance, parents: Mapping[str, str | None]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(provenance_json(provenance, parents.get) or "{}")
    if "sampling" in value:
        value["sampling"] = [pair for pair in value["sampling"] if math.isfinite(pair[1])]
    return value


def _trace(record: Record, message: Message, prompts: _Prompts) -> dict[str, Any]:
    trace = record.traces.get(message.id)
    found: dict[str, Any] = {}
    if trace is not None and trace.prompt_ids:
        found["prompt_ids"] = prompts.written(message, trace.prompt_ids)
    if trace is not None and trace.scores:
        found["scores"] = [_score(score) for score in trace.scores]
    return found


class _Prompts:
    """Writes the ids of prompts: mostly the beginning of a prompt before and what comes then."""

    def __init__(self) -> None:
        self._before: deque[tuple[str, tuple[int, ...]]] = deque(maxlen=_REMEMBERED)

    def written(self, message: Message, ids: tuple[int, ...]) -> list[int] | dict[str, Any]:
        """The ids, or how many of the first ones are those of which message, and the rest."""
        shared, of = 0, ""
        for message_id, before in self._before:
            count = _same_beginning(before, ids)
            if count >= shared:  # the newest of equals
                shared, of = count, message_id
        # The next prompt goes on where this answer ended.
        self._before.append((message.id, ids + message.token_ids))
        if shared == 0:
            return list(ids)
        return {"first": shared, "of": whole(of), "then": list(ids[shared:])}


def _same_beginning(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    same = 0
    length = min(len(one), len(other))
    for step in _STEPS:
        while same < length and one[same : same + step] == other[same : same + step]:
            same = min(same + step, length)
    return same


def _score(score: TokenScore) -> list[Any]:
    likeliest = [list(_token(*one)) for one in score.top]
    return [*_token(score.id, score.text, score.logprob), likeliest]


def _token(token: int, text: str, logprob: float) -> tuple[int, str, float | None]:
    # JSON has no infinity: what can never come is written as null.
    return token, whole(text), logprob if math.isfinite(logprob) else None


def _number(value: float) -> float:
    return value if math.isfinite(value) else 0.0
