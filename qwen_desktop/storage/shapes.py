"""What rows of our tables look like, for rows that are found without their table.

Columns stand in the order of their making in all formats (see `migrations.py`), so a row of an
earlier one has the first of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qwen_desktop.chat.messages import Role, Status

# The columns of each table. The first is the number of the row where it has one.
COLUMNS = {
    "conversations": (
        "number",
        "id",
        "title",
        "title_is_own",
        "preview",
        "created_at",
        "updated_at",
        "head_id",
        "deleted_at",
        "options",
        "pinned",
        "archived",
        "folder",
        "source",
    ),
    "messages": (
        "number",
        "id",
        "conversation",
        "parent_id",
        "role",
        "status",
        "created_at",
        "stats",
        "error",
        "parts",
        "pinned",
        "provenance",
        "token_ids",
    ),
    "answer_traces": ("message", "pieces", "prompt_rest", "scores"),
    "prompt_pieces": ("number", "conversation", "digest", "ids"),
    "folders": ("number", "id", "name", "created_at"),
    "answer_journal": ("message_id", "seq", "kind", "text", "ids"),
    "tags": ("conversation", "name"),
    "removed_messages": ("conversation", "id", "removed_at"),
    "drafts": ("conversation_id", "text"),
}
# Tables whose rows have no number: they are kept like an index.
WITHOUT_NUMBERS = ("answer_journal", "tags", "removed_messages", "drafts")

_ROLES = {role.value for role in Role}
_STATUSES = {status.value for status in Status}


def table_of(values: Sequence[Any], in_table: bool) -> str | None:
    """The table a row belongs to; None for rows of indexes and whatever else there is."""
    for table, fits in (_IN_TABLES if in_table else _IN_INDEXES).items():
        if fits(values):
            return table
    return None


def _is_text(value: Any) -> bool:
    return isinstance(value, (str, bytes))


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _is_conversation(row: Sequence[Any]) -> bool:
    return (
        9 <= len(row) <= 14
        and row[0] is None
        and _is_id(row[1])
        and _is_text(row[2])
        and isinstance(row[3], int)
        and _is_text(row[4])
        and all(_is_number(time) for time in row[5:7])
        and (row[8] is None or _is_number(row[8]))
    )


def _is_message(row: Sequence[Any]) -> bool:
    return (
        # One that is cut may end anywhere after what tells where it belongs.
        6 <= len(row) <= 13
        and row[0] is None
        and _is_id(row[1])
        and isinstance(row[2], int)
        and (row[3] is None or _is_text(row[3]))
        # One of the two may be damaged.
        and _is_text(row[4])
        and _is_text(row[5])
        and (row[4] in _ROLES or row[5] in _STATUSES)
    )


def _is_trace(row: Sequence[Any]) -> bool:
    return (
        len(row) == 4
        and row[0] is None
        and all(value is None or isinstance(value, bytes) for value in row[1:])
    )


def _is_piece(row: Sequence[Any]) -> bool:
    return (
        len(row) == 4
        and row[0] is None
        and isinstance(row[1], int)
        and isinstance(row[2], bytes)
        and isinstance(row[3], bytes)
    )


def _is_folder(row: Sequence[Any]) -> bool:
    return (
        len(row) == 4
        and row[0] is None
        and _is_id(row[1])
        and isinstance(row[2], str)
        and _is_number(row[3])
    )


def _is_journal(row: Sequence[Any]) -> bool:
    return (
        len(row) in (4, 5)
        and _is_id(row[0])
        and isinstance(row[1], int)
        and _is_text(row[2])
        and _is_text(row[3])
        and (len(row) == 4 or row[4] is None or isinstance(row[4], bytes))
    )


def _is_tag(row: Sequence[Any]) -> bool:
    return len(row) == 2 and isinstance(row[0], int) and isinstance(row[1], str)


def _is_removed(row: Sequence[Any]) -> bool:
    return len(row) == 3 and isinstance(row[0], int) and _is_id(row[1]) and _is_number(row[2])


def _is_draft(row: Sequence[Any]) -> bool:
    return len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], str)


_IN_TABLES: dict[str, Callable[[Sequence[Any]], bool]] = {
    "messages": _is_message,
    "conversations": _is_conversation,
    "folders": _is_folder,
    "prompt_pieces": _is_piece,
    "answer_traces": _is_trace,
}
_IN_INDEXES: dict[str, Callable[[Sequence[Any]], bool]] = {
    "answer_journal": _is_journal,
    "tags": _is_tag,
    "removed_messages": _is_removed,
    "drafts": _is_draft,
}
