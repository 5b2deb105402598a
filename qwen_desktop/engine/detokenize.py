"""Text out of a stream of tokens: as early as possible, never half a character."""

from __future__ import annotations

import codecs
from collections.abc import Callable


class Detokenizer:
    """Turns tokens into text one by one.

    `piece` gives the bytes of a token. All text given out, joined, equals decoding all bytes at
    once with errors replaced; only an unfinished UTF-8 sequence is held back.
    """

    def __init__(self, piece: Callable[[int], bytes]) -> None:
        self._piece = piece
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def step(self, token: int) -> str:
        """The text that `token` completes; empty within a character."""
        return self._decoder.decode(self._piece(token))

    @property
    def pending(self) -> str:
        """What `flush` would give now: empty between two characters."""
        return self._decoder.getstate()[0].decode("utf-8", "replace")

    def flush(self) -> str:
        """What is left of an unfinished character, replaced."""
        return self._decoder.decode(b"", final=True)
