"""Text, token ids and their scores as compact bytes. Knows nothing of rows. Bad bytes give
ValueError; only text forgives, see `unpack_text`.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Sequence

from qwen_desktop.chat.messages import TokenScore
from qwen_desktop.chat.text import whole

ID_BYTES = 4  # compressing saves half of it, and doubles the time of reading long conversations
MAX_SCORES_BYTES = 2**28  # unpacked; far over the longest answer with all alternatives
MAX_TEXT_BYTES = 2**28  # unpacked; so that no damaged row fills the memory
PACKED_TEXT_BYTES = 200  # shorter text is not worth compressing
_ZLIB = 0x78  # first byte of every stream we write


def pack_ids(ids: Sequence[int]) -> bytes:
    """Token ids as unsigned 32-bit numbers, low byte first. ValueError for one that is none."""
    try:
        return struct.pack(f"<{len(ids)}I", *ids)
    except struct.error as error:
        raise ValueError(f"bad token id: {error}") from error


def unpack_ids(raw: object) -> tuple[int, ...]:
    """The ids of `pack_ids`; none where the column is empty."""
    if raw is None:
        return ()
    if not isinstance(raw, bytes) or len(raw) % ID_BYTES:
        raise ValueError("no token ids")
    return struct.unpack(f"<{len(raw) // ID_BYTES}I", raw)


def pack_text(text: str) -> str | bytes:
    """`text` as zlib makes it of its UTF-8 where that saves a tenth; else as it is."""
    raw = text.encode()
    if len(raw) < PACKED_TEXT_BYTES:
        return text
    packed = zlib.compress(raw)
    return packed if len(packed) * 10 <= len(raw) * 9 else text


def is_packed(raw: object) -> bool:
    """Whether this may have been made by `pack_text`; JSON never begins like that."""
    return isinstance(raw, bytes) and raw[:1] == bytes((_ZLIB,))


def unpack_text(raw: bytes) -> tuple[str, bool]:
    """The text of a packed one or of plain UTF-8, and whether it is whole.

    Of a damaged one comes what lies before the damage, and all where only the check sum is wrong.
    """
    text, is_whole = _inflated(raw) if is_packed(raw) else (raw, True)
    try:
        return text.decode(), is_whole
    except UnicodeDecodeError as error:
        if is_packed(raw):  # what comes after damage is noise
            return text[: error.start].decode(), False
        return text.decode(errors="replace"), False


def _inflated(raw: bytes) -> tuple[bytes, bool]:
    reader = zlib.decompressobj()
    try:
        return reader.decompress(raw, MAX_TEXT_BYTES), reader.eof and not reader.unused_data
    except zlib.error:
        return _before_damage(raw), False


def _before_damage(raw: bytes) -> bytes:
    # The call that meets the damage gives nothing, so each gets a single byte.
    reader = zlib.decompressobj()
    found = bytearray()
    try:
        for place in range(len(raw)):
            found += reader.decompress(raw[place : place + 1], MAX_TEXT_BYTES)
    except zlib.error:
        pass
    return bytes(found)


def pack_scores(scores: Iterable[TokenScore]) -> bytes:
    """Log probabilities as compressed JSON: [[id, text, logprob, [[id, text, logprob], …]], …]."""
    rows = [(score.id, score.text, score.logprob, score.top) for score in scores]
    # Written once in an answer, and only where asked for: a few bytes for each alternative.
    return zlib.compress(whole(json.dumps(rows, ensure_ascii=False)).encode())


def unpack_scores(raw: object) -> tuple[TokenScore, ...]:
    """The scores of `pack_scores`; none where the column is empty."""
    if raw is None:
        return ()
    if not isinstance(raw, bytes):
        raise ValueError("no scores")
    try:
        reader = zlib.decompressobj()
        text = reader.decompress(raw, MAX_SCORES_BYTES)
        if not reader.eof:
            raise ValueError("cut off, or too long")
        rows = json.loads(text)
    except (zlib.error, RecursionError) as error:
        raise ValueError("no scores") from error
    if not isinstance(rows, list):
        raise ValueError("no scores")
    return tuple(_score(row) for row in rows)


def _score(row: object) -> TokenScore:
    if not isinstance(row, list) or len(row) != 4 or not isinstance(row[3], list):
        raise ValueError("not a score")
    return TokenScore(*_token(row[:3]), tuple(_token(other) for other in row[3]))


def _token(row: object) -> tuple[int, str, float]:
    if not isinstance(row, list) or [type(value) for value in row] not in _TOKEN:
        raise ValueError("not a token")
    return row[0], row[1], row[2]


_TOKEN = ([int, str, float], [int, str, int])
