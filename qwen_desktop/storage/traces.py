"""What is kept of answers only to be looked at. Used inside a transaction of the store.

Each prompt repeats nearly all of the one before it. Pieces of `PIECE` ids that begin at the same
place and hold the same ids are kept once in a conversation; they go with it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b

from qwen_desktop.chat.messages import AnswerTrace, TokenScore
from qwen_desktop.storage import damage, packing

PIECE = 512  # ids; two pieces fill a page of the file


def write_prompt(connection: sqlite3.Connection, message: int, ids: Sequence[int]) -> None:
    """Keep the ids of the prompt of an answer, by the number of its row. Scores stay."""
    (conversation,) = connection.execute(
        "SELECT conversation FROM messages WHERE number = ?", (message,)
    ).fetchone()
    full = len(ids) - len(ids) % PIECE
    pieces = [
        _piece(connection, conversation, packing.pack_ids(ids[start : start + PIECE]))
        for start in range(0, full, PIECE)
    ]
    _make(connection, message)
    connection.execute(
        "UPDATE answer_traces SET pieces = ?, prompt_rest = ? WHERE message = ?",
        (packing.pack_ids(pieces), packing.pack_ids(ids[full:]), message),
    )


def write_scores(
    connection: sqlite3.Connection, message: int, scores: Sequence[TokenScore]
) -> None:
    """Keep the log probabilities of an answer, by the number of its row. The prompt stays."""
    _make(connection, message)
    connection.execute(
        "UPDATE answer_traces SET scores = ? WHERE message = ?",
        (packing.pack_scores(scores) if scores else None, message),
    )


def read(connection: sqlite3.Connection, message_id: str) -> AnswerTrace:
    """The trace of an answer; what is missing or damaged is empty."""
    row = connection.execute(
        "SELECT pieces, prompt_rest, scores FROM answer_traces WHERE message ="
        " (SELECT number FROM messages WHERE id = ?)",
        (message_id,),
    ).fetchone()
    if row is None:
        return AnswerTrace()
    pieces, rest, scores = row
    prompt_ids: tuple[int, ...] = ()
    try:
        prompt_ids = _joined(connection, packing.unpack_ids(pieces), packing.unpack_ids(rest))
    except ValueError:
        damage.note(message_id, "prompt ids")
    try:
        return AnswerTrace(prompt_ids, packing.unpack_scores(scores))
    except ValueError:
        damage.note(message_id, "scores")
        return AnswerTrace(prompt_ids)


@dataclass(frozen=True)
class Packed:
    """A trace as it lies on the disk, with the pieces of its prompt."""

    pieces: tuple[bytes, ...]
    rest: bytes | None
    scores: bytes | None


def packed(
    connection: sqlite3.Connection, message: int, known: dict[int, bytes] | None = None
) -> Packed | None:
    """The trace of an answer by the number of its row; None where there is none.

    `known` are pieces by number; those that are read are added to it. A prompt of which one is
    lost is left out.
    """
    row = connection.execute(
        "SELECT pieces, prompt_rest, scores FROM answer_traces WHERE message = ?", (message,)
    ).fetchone()
    if row is None:
        return None
    numbers, rest, scores = row
    known = {} if known is None else known
    try:
        wanted = packing.unpack_ids(numbers)
        for number in wanted:
            if number not in known:
                (known[number],) = connection.execute(
                    "SELECT ids FROM prompt_pieces WHERE number = ?", (number,)
                ).fetchone()
        return Packed(tuple(known[number] for number in wanted), rest, scores)
    except (ValueError, TypeError):
        return Packed((), None, scores)


def write_packed(connection: sqlite3.Connection, message: int, trace: Packed) -> None:
    """Keep a trace, in this conversation or another, by the number of the row of its answer."""
    (conversation,) = connection.execute(
        "SELECT conversation FROM messages WHERE number = ?", (message,)
    ).fetchone()
    numbers = [_piece(connection, conversation, ids) for ids in trace.pieces]
    connection.execute(
        "INSERT OR REPLACE INTO answer_traces (message, pieces, prompt_rest, scores)"
        " VALUES (?, ?, ?, ?)",
        (message, packing.pack_ids(numbers), trace.rest, trace.scores),
    )


def remove_unused(connection: sqlite3.Connection, conversation: int) -> None:
    """Remove pieces of prompts that no answer of a conversation has any more."""
    used: set[int] = set()
    for (numbers,) in connection.execute(
        "SELECT pieces FROM answer_traces JOIN messages ON number = message WHERE conversation = ?",
        (conversation,),
    ):
        with suppress(ValueError):
            used.update(packing.unpack_ids(numbers))
    there = connection.execute(
        "SELECT number FROM prompt_pieces WHERE conversation = ?", (conversation,)
    ).fetchall()
    connection.executemany(
        "DELETE FROM prompt_pieces WHERE number = ?", [one for one in there if one[0] not in used]
    )


def _make(connection: sqlite3.Connection, message: int) -> None:
    connection.execute("INSERT OR IGNORE INTO answer_traces (message) VALUES (?)", (message,))


def _piece(connection: sqlite3.Connection, conversation: int, ids: bytes) -> int:
    key = (conversation, blake2b(ids, digest_size=16).digest())
    connection.execute(
        "INSERT INTO prompt_pieces (conversation, digest, ids) VALUES (?, ?, ?)"
        # One that was damaged is made whole.
        " ON CONFLICT (conversation, digest)"
        " DO UPDATE SET ids = excluded.ids WHERE ids <> excluded.ids",
        (*key, ids),
    )
    (number,) = connection.execute(
        "SELECT number FROM prompt_pieces WHERE conversation = ? AND digest = ?", key
    ).fetchone()
    return int(number)


def _joined(
    connection: sqlite3.Connection, pieces: Sequence[int], rest: tuple[int, ...]
) -> tuple[int, ...]:
    ids: list[int] = []
    for number in pieces:
        row = connection.execute(
            "SELECT ids FROM prompt_pieces WHERE number = ?", (number,)
        ).fetchone()
        piece = packing.unpack_ids(None if row is None else row[0])
        if len(piece) != PIECE:
            raise ValueError("a piece is lost")
        ids.extend(piece)
    return (*ids, *rest)
