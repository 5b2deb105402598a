"""Between values and rows. Reading forgives: a damaged row still gives a message, with its raw
text, and a line in the log that names the row and never what was said. No SQL here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, fields, replace
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeVar

from qwen_desktop.chat.context import ChatOptions, Policy, RemoteChoice
from qwen_desktop.chat.messages import AnswerStats, Message, Part, PartKind, Role, Status
from qwen_desktop.chat.settings import BY_NAME, Value
from qwen_desktop.chat.text import whole
from qwen_desktop.chat.tree import Tree
from qwen_desktop.storage import damage, packing
from qwen_desktop.storage.damage import MOST_TOKENS, Damage, is_number
from qwen_desktop.storage.provenance import ProvenanceReader
from qwen_desktop.storage.state import MAX_SECONDS

# The columns `message_from` takes, in its order.
MESSAGE_COLUMNS = (
    "id, parent_id, role, parts, status, stats, error, created_at, pinned, token_ids, provenance"
)

_AnyEnum = TypeVar("_AnyEnum", bound=Enum)


def parts_column(parts: Iterable[Part]) -> str | bytes:
    """Parts as kept in the `parts` column: JSON, compressed where it is long."""
    rows = [_part_row(part) for part in parts]
    return packing.pack_text(whole(json.dumps(rows, ensure_ascii=False, separators=(",", ":"))))


def _part_row(part: Part) -> dict[str, str]:
    name = {"name": part.name} if part.name else {}
    return {"kind": part.kind.value, **name, "text": part.text}


def stats_json(stats: AnswerStats | None) -> str | None:
    """Counts and times as kept in the `stats` column: those that differ from none."""
    if stats is None:
        return None
    kept = {f.name: value for f in fields(stats) if (value := getattr(stats, f.name)) != f.default}
    return whole(json.dumps(kept, ensure_ascii=False, separators=(",", ":")))


def options_json(options: ChatOptions) -> str | None:
    """What a conversation wants, as kept in the `options` column; None where that is nothing."""
    kept: dict[str, object] = {}
    if options.policy is not None:
        kept["policy"] = options.policy.value
    if values := _accepted(options.values):
        kept["values"] = values
    if options.remote is not None:
        kept["remote"] = asdict(options.remote)
    return whole(json.dumps(kept, ensure_ascii=False, separators=(",", ":"))) if kept else None


def options_from(raw: object, conversation_id: str) -> ChatOptions:
    """The options in a column, without what this version does not accept."""
    if raw is None:
        return ChatOptions()
    try:
        kept = json.loads(text_from(raw))
        if not isinstance(kept, dict) or not isinstance(kept.get("values", {}), dict):
            raise ValueError("not an object")
    except (ValueError, RecursionError):
        damage.note(conversation_id, "options", "conversation")
        return ChatOptions()
    values = kept.get("values", {})
    good = _accepted(values)
    policy = next((policy for policy in Policy if policy.value == kept.get("policy")), None)
    remote = _remote_from(kept.get("remote"))
    lost = (policy is None and kept.get("policy") is not None) or len(good) < len(values)
    if lost or (remote is None and kept.get("remote") is not None):
        damage.note(conversation_id, "some options", "conversation")
    return ChatOptions(policy, MappingProxyType(good), remote)


def _remote_from(raw: object) -> RemoteChoice | None:
    """Who answers a conversation; None, which sends nothing anywhere, where that is damaged."""
    if not isinstance(raw, dict):
        return None
    connection, model, agreed = raw.get("connection"), raw.get("model"), raw.get("agreed", "")
    if not (isinstance(connection, str) and isinstance(model, str) and isinstance(agreed, str)):
        return None
    return RemoteChoice(connection, model, agreed) if connection else None


def message_from(row: tuple[Any, ...], reader: ProvenanceReader | None) -> Message:
    """The message of a row of MESSAGE_COLUMNS, whatever it holds.

    `reader` has met its ancestors; without one the provenance is left out.
    """
    message_id, parent_id, role, parts, status, stats, error, created_at, *more = row
    pinned, token_ids, provenance = more
    message_id = text_from(message_id)
    parent_id = None if parent_id is None else text_from(parent_id)
    found = Damage(message_id)
    if reader is not None:
        reader.met(message_id, parent_id)
    if pinned not in (0, 1):
        found.note("pin")
    if number_from(created_at) != created_at:
        found.note("time")
    if not isinstance(error, str):
        found.note("error")
    message = Message(
        id=message_id,
        parent_id=parent_id,
        # Unknown words are shown as the model's: nothing is put into the user's mouth.
        role=_enum(Role, role, Role.ASSISTANT, found),
        parts=_parts(parts, found),
        status=_enum(Status, status, Status.COMPLETE, found),
        stats=_stats(stats, found),
        error=text_from(error),
        created_at=number_from(created_at),
        pinned=pinned == 1,
        token_ids=_ids(token_ids, found),
        provenance=reader.read(provenance, found) if reader is not None else None,
    )
    return replace(message, damaged=True) if found.found else message


def parts_from(raw: object, message_id: str) -> tuple[Part, ...]:
    """The parts in a column; where they cannot be read, one part with the raw text.

    Of compressed ones that are damaged, the text up to the damage.
    """
    return _parts(raw, Damage(message_id))


def with_piece(message: Message, kind: object, text: object, ids: object) -> Message:
    """A streaming answer with one piece of its journal, from the columns of it."""
    found = Damage(message.id)
    message = message.appended(_enum(PartKind, kind, PartKind.TEXT, found), text_from(text))
    token_ids = message.token_ids + _ids(ids, found)
    return replace(message, token_ids=token_ids, damaged=message.damaged or found.found)


def tree_from(messages: Iterable[Message], head: object) -> Tree:
    """The tree of all `messages` in their order.

    A message whose parent is lost goes below the one before it; a head that is lost is the
    newest message.
    """
    kept: list[Message] = []
    known: set[str] = set()
    for message in messages:
        if message.id in known:
            damage.note(message.id, "id")
            continue
        if message.parent_id is not None and message.parent_id not in known:
            damage.note(message.id, "parent")
            message = replace(message, parent_id=kept[-1].id if kept else None)
        kept.append(message)
        known.add(message.id)
    return Tree.of(kept, head if isinstance(head, str) and head in known else None)


def text_from(raw: object) -> str:
    """A column that should hold text, as text."""
    if isinstance(raw, str):
        return raw
    if isinstance(raw, bytes):
        return raw.decode(errors="replace")
    return "" if raw is None else str(raw)


def number_from(raw: object) -> float:
    """A column that should hold Unix seconds; 0.0 where it holds none that have a date."""
    found = float(raw) if isinstance(raw, (int, float)) else 0.0
    return found if abs(found) < MAX_SECONDS else 0.0


def _json_list(text: str) -> list[object]:
    value = json.loads(text)
    if not isinstance(value, list):
        raise ValueError("not a list")
    return value


def _parts(raw: object, damage: Damage) -> tuple[Part, ...]:
    packed = packing.is_packed(raw)
    text, is_whole = packing.unpack_text(raw) if isinstance(raw, bytes) else (text_from(raw), True)
    try:
        parts = tuple(_part(row, damage) for row in _json_list(text))
    except (ValueError, RecursionError):
        parts = (_begun(text) if packed else ()) or (Part(PartKind.TEXT, text),)
        is_whole = False
    if not is_whole:
        damage.note("parts")
    return parts


# One part as `parts_column` writes it; the last one may break off anywhere in its text.
_PART = re.compile(
    r'[\[,]\{"kind":"(text|reasoning|file)",(?:"name":"((?:[^"\\]|\\.)*)",)?'
    r'"text":"((?:[^"\\]|\\.)*)',
    re.DOTALL,
)


def _begun(text: str) -> tuple[Part, ...]:
    """The parts of JSON that breaks off."""
    found = []
    for kind, name, said in _PART.findall(text):
        found.append(Part(PartKind(kind), _unescaped(said), _unescaped(name)))
    return tuple(found)


def _unescaped(said: str) -> str:
    with suppress(ValueError):  # an escape that is none: shown as it is
        return text_from(json.loads(f'"{said}"', strict=False))
    return said


def _part(row: object, damage: Damage) -> Part:
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise ValueError("not a part")
    name = row.get("name", "")
    if not isinstance(name, str):
        damage.note("name")
        name = ""
    return Part(_enum(PartKind, row.get("kind"), PartKind.TEXT, damage), row["text"], name)


def _ids(raw: object, damage: Damage) -> tuple[int, ...]:
    try:
        return packing.unpack_ids(raw)
    except ValueError:
        damage.note("token ids")
        return ()


def _stats(raw: object, damage: Damage) -> AnswerStats | None:
    if raw is None:
        return None
    try:
        value = json.loads(text_from(raw))
        if not isinstance(value, dict):
            raise ValueError("not an object")
        default = AnswerStats()
        known = {f.name: value[f.name] for f in fields(AnswerStats) if f.name in value}
        for name, found in known.items():
            kind = type(getattr(default, name))
            fits = type(found) is kind or (kind is float and type(found) is int)
            if not fits or (kind is not str and not is_number(found, MOST_TOKENS)):
                raise ValueError(f"bad {name}")
        return AnswerStats(**known)
    except (ValueError, RecursionError):
        damage.note("stats")
        return None


def _enum(kind: type[_AnyEnum], raw: object, fallback: _AnyEnum, damage: Damage) -> _AnyEnum:
    try:
        return kind(raw)
    except ValueError:
        damage.note(kind.__name__.lower())
        return fallback


def _accepted(values: Mapping[str, Any]) -> dict[str, Value]:
    return {
        name: value
        for name, value in values.items()
        if name in BY_NAME and BY_NAME[name].accepts(value)
    }
