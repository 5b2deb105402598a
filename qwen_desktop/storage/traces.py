"""What is kept of answers only to be looked at. Used inside a transaction of the store.

Each prompt repeats nearly all of the one before it. Pieces of `PIECE` ids that begin at the same
place and hold the same ids are kept once in a conversation; they go with it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
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
