"""Splits the text of an answer into reasoning and answer while it streams.

Models that think put their reasoning between <think> and </think>. Where these are tokens of
their own, only the tokens count, so that an answer may speak about the tags; elsewhere the text
is searched, and a possible beginning of a tag at the end of the text waits for the rest.

Line feeds around reasoning belong to the format, not to the text: they are dropped where Qwen's
own parser drops them.
"""

from __future__ import annotations

from enum import Enum, auto

from qwen_desktop.chat.messages import PartKind

OPEN, CLOSE = "<think>", "</think>"

Piece = tuple[PartKind, str]


class Mark(Enum):
    """A think marker met as a token."""

    OPEN = auto()
    CLOSE = auto()


class _At(Enum):
    START = auto()  # nothing but white space so far: reasoning may still begin
    REASONING = auto()
    ANSWER = auto()


class Segmenter:
    """Feed it text and marks in order; it gives pieces of reasoning and of answer.

    `inside`: the prompt ends within an open think block. `by_text`: search the text for tags.
    """

    def __init__(self, *, inside: bool, by_text: bool) -> None:
        self._at = _At.REASONING if inside else _At.START
        self._by_text = by_text
        self._wait = ""  # text that cannot be told yet: a tag's beginning, white space at START
        self._skip_newlines = inside  # at the beginning of reasoning and after it
        self._newlines = ""  # ends of reasoning lines that may turn out to be its end
        self.closings = 0  # closing markers so far, stray ones included

    @property
    def kind(self) -> PartKind:
        """What text coming now would be."""
        return PartKind.REASONING if self._at is _At.REASONING else PartKind.TEXT

    @property
    def in_tag(self) -> bool:
        """Whether the text ends with what may be the beginning of a closing tag."""
        return self._at is _At.REASONING and bool(self._wait)

    def text(self, text: str) -> list[Piece]:
        """The pieces that `text` completes."""
        pieces: list[Piece] = []
        rest = self._wait + text
        self._wait = ""
        while rest:
            before = (self._at, len(rest))
            rest = self._step(rest, pieces)
            if (self._at, len(rest)) == before:  # needs more text to decide
                self._wait = rest
                break
        return joined(pieces)

    def mark(self, mark: Mark) -> list[Piece]:
        """The pieces that a marker token completes. A stray closing one is dropped."""
        pieces: list[Piece] = []
        self.closings += mark is Mark.CLOSE
        if mark is Mark.OPEN and self._at is not _At.REASONING:
            if self._at is _At.ANSWER:
                pieces = self.flush()
            self._begin_reasoning()
        elif mark is Mark.CLOSE and self._at is not _At.ANSWER:
            if self._at is _At.REASONING:
                self._emit_wait(pieces)
            self._end_reasoning()
        return joined(pieces)

    def flush(self) -> list[Piece]:
        """What was waiting, at the end of the answer."""
        pieces: list[Piece] = []
        self._emit_wait(pieces)
        self._newlines = ""
        return joined(pieces)

    def _emit_wait(self, pieces: list[Piece]) -> None:
        wait, self._wait = self._wait, ""
        if wait:
            self._emit(wait, pieces)

    def _step(self, rest: str, pieces: list[Piece]) -> str:
        """Use up a part of `rest` and give back what is left."""
        if self._at is _At.START:
            return self._at_start(rest, pieces)
        if self._at is _At.REASONING and self._by_text:
            found = rest.find(CLOSE)
            if found >= 0:
                self._emit(rest[:found], pieces)
                self._end_reasoning()
                self.closings += 1
                return rest[found + len(CLOSE) :]
            held = _tag_at_end(rest, CLOSE)
            self._emit(rest[: len(rest) - held], pieces)
            return rest[len(rest) - held :]
        self._emit(rest, pieces)
        return ""

    def _at_start(self, rest: str, pieces: list[Piece]) -> str:
        bare = rest.lstrip()
        if self._by_text:
            for tag, act in ((OPEN, self._begin_reasoning), (CLOSE, self._end_reasoning)):
                if bare.startswith(tag):
                    act()
                    return bare[len(tag) :]
            if any(tag.startswith(bare) for tag in (OPEN, CLOSE)):
                return rest
        elif not bare:
            return rest
        self._at = _At.ANSWER
        self._emit(rest, pieces)
        return ""

    def _begin_reasoning(self) -> None:
        self._at, self._wait, self._skip_newlines = _At.REASONING, "", True

    def _end_reasoning(self) -> None:
        self._at, self._wait, self._newlines = _At.ANSWER, "", ""
        self._skip_newlines = True

    def _emit(self, text: str, pieces: list[Piece]) -> None:
        if self._skip_newlines:
            text = text.lstrip("\n")
            if not text:
                return
            self._skip_newlines = False
        if self._at is _At.REASONING:
            text = self._newlines + text
            bare = text.rstrip("\n")
            self._newlines = text[len(bare) :]
            text = bare
        if text:
            pieces.append((self.kind, text))


def _tag_at_end(text: str, tag: str) -> int:
    """Length of the longest end of `text` that begins `tag`."""
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:length]):
            return length
    return 0


def joined(pieces: list[Piece]) -> list[Piece]:
    """Neighbours of the same kind as one piece, empty ones left out."""
    found: list[Piece] = []
    for kind, text in pieces:
        if found and found[-1][0] is kind:
            found[-1] = (kind, found[-1][1] + text)
        elif text:
            found.append((kind, text))
    return found
