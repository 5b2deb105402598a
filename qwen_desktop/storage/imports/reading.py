"""The values at the top of a JSON text, one at a time, in bounded memory.

A text holds one value, several one after another (JSON Lines), or an array, whose elements are
given one by one: an export of half a gigabyte never lies in memory as a whole. A value that is no
JSON is told and passed over: where it ends is found by its brackets and strings alone.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known, Report

CHUNK = 2**20  # characters read at once
LARGEST_VALUE = 2**26  # characters of one conversation; a larger one is refused unread
BOMS_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
LARGEST_TEXT = 2**32  # characters of a file; what comes after is not looked at

_SPACE = re.compile(r"[\s\ufeff]*")
_SPACE_OR_COMMA = re.compile(r"[\s\ufeff,]*")
_BREAKS = re.compile(r'["{}\[\]]')
_IN_STRING = re.compile(r'["\\]')
_SCALAR_ENDS = re.compile(r"[,\]\s]")
_LINE_ENDS = re.compile(r"\n")
_LONGEST_WHOLE = 20  # digits; longer ones are read as a float, which takes no time


class Text(Protocol):
    """What characters are read from."""

    def read(self, size: int, /) -> str:
        """About `size` characters; "" at the end."""


class Decoded:
    """The text in bytes: UTF-8, or UTF-16 where they begin with its mark. Forgives bad bytes.

    `count` hears how many bytes were read.
    """

    def __init__(self, raw: IO[bytes], count: Callable[[int], None] = lambda _: None) -> None:
        self._raw = raw
        self._count = count
        self._decoder: codecs.IncrementalDecoder | None = None

    def read(self, size: int, /) -> str:
        """About `size` characters; "" at the end."""
        while True:
            chunk = self._raw.read(size)
            self._count(len(chunk))
            if self._decoder is None:
                encoding = "utf-16" if chunk.startswith(BOMS_16) else "utf-8-sig"
                self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
            text = self._decoder.decode(chunk, final=not chunk)
            if text or not chunk:
                return text


@dataclass(frozen=True)
class Value:
    """A value at the top of a text, or an element of the array there. `position` is from 1."""

    position: int
    value: object


@dataclass(frozen=True)
class Broken:
    """A stretch of the text that is no value. `begun`: it begins as a list or an object does."""

    position: int
    report: Report
    begun: bool = True


def _number(digits: str) -> float:
    return int(digits) if len(digits) <= _LONGEST_WHOLE else float(digits)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_decoder = json.JSONDecoder(parse_int=_number)


def not_json(details: str = "") -> Known:
    """The sentence about a part of a file that cannot be read."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "This is not JSON, or only the beginning of it."),
        QT_TRANSLATE_NOOP("errors", "The file may be damaged, or changed by another program."),
        details=details,
    )


def _too_long(longest: int) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "This is too long for one chat: over {limit} characters."),
        limit=f"{longest:,}",
    )


class Values:
    """Iterates over the values of `text`. `is_array` is known from the first one on.

    `nested`: where the text begins with an object whose text up to this pattern matches, the array
    behind it is given element by element, as if it stood alone.
    """

    def __init__(
        self,
        text: Text,
        *,
        nested: re.Pattern[str] | None = None,
        stopped: Callable[[], bool] = lambda: False,
        chunk: int = CHUNK,
        longest: int = LARGEST_VALUE,
    ) -> None:
        self.is_array = False
        self._chunk = chunk
        self._longest = longest
        self._text = text
        self._nested = nested
        self._stopped = stopped
        self._buffer = ""
        self._at = 0  # of the buffer: what is not looked at yet
        self._ended = False
        self._read = 0

    def __iter__(self) -> Iterator[Value | Broken]:
        self._fill(self._chunk)
        self._skip(_SPACE)
        match = self._nested.match(self._buffer, self._at) if self._nested else None
        if match is not None:
            self._at = match.end()
            self.is_array = True
        elif self._peek() == "[":
            self._at += 1
            self.is_array = True
        position, broken = 0, False
        while not self._stopped():
            self._skip(_SPACE_OR_COMMA if self.is_array else _SPACE)
            first = self._peek()
            if not first:
                if self.is_array and not broken:
                    yield Broken(position + 1, not_json("the list does not end").report())
                return
            if first == "]" and self.is_array:
                return
            position += 1
            found = self._next(position)
            broken = isinstance(found, Broken)
            yield found

    def _next(self, position: int) -> Value | Broken:
        self._fill(self._chunk)
        try:
            value, end = _decoder.raw_decode(self._buffer, self._at)
            # A number may go on behind the buffer: "12" is the beginning of "12.5e3".
            if self._ended or _SCALAR_ENDS.match(self._buffer, end) or not _is_number(value):
                self._at = end
                return Value(position, value)
        except (ValueError, RecursionError):
            pass  # cut off by the end of the buffer, or no JSON
        raw = self._stretch(is_line=not self.is_array and (position > 1 or self._ends_in_line()))
        if raw is None:
            return Broken(position, _too_long(self._longest).report())
        try:
            return Value(position, _decoder.decode(raw))
        except (ValueError, RecursionError) as error:
            details = f"{type(error).__name__}: {str(error)[:200]}"
            return Broken(position, not_json(details).report(), raw[:1] in ("{", "["))

    # -- where a value ends ------------------------------------------------------------------

    def _ends_in_line(self) -> bool:
        """Whether the next line begins with an object, as every one of JSON Lines does."""
        wanted = self._chunk
        while (end := self._buffer.find("\n", self._at)) < 0 or end + 1 >= len(self._buffer):
            if self._ended or wanted > self._longest:
                return False
            wanted *= 2
            self._fill(wanted)
        return self._buffer[end + 1] == "{"

    def _stretch(self, *, is_line: bool) -> str | None:
        """The text of the value that begins here; None where it is too long. Goes behind it."""
        pieces: list[str] = []
        length = 0
        for piece in self._up_to(_LINE_ENDS) if is_line else self._pieces():
            length += len(piece)
            if length <= self._longest:
                pieces.append(piece)
            else:
                pieces.clear()
        return "".join(pieces) if length <= self._longest else None

    def _pieces(self) -> Iterator[str]:
        if self._peek() not in '"{[':
            yield from self._up_to(_SCALAR_ENDS if self.is_array else _LINE_ENDS)
            return
        depth, in_string = 0, False
        while self._peek():
            start = self._at
            while match := (_IN_STRING if in_string else _BREAKS).search(self._buffer, self._at):
                self._at = match.end()
                found = match.group()
                if found == "\\":
                    self._at += 1  # perhaps behind the buffer: what is read next is cut there
                elif found == '"':
                    in_string = not in_string
                else:
                    depth += 1 if found in "{[" else -1
                if depth <= 0 and not in_string:
                    yield self._buffer[start : self._at]
                    return
                if self._at >= len(self._buffer):
                    break
            behind = max(self._at - len(self._buffer), 0) if match else 0
            yield self._buffer[start:]
            self._at = len(self._buffer)
            self._fill(self._chunk)
            if behind:
                yield self._buffer[self._at : self._at + behind]
                self._at += behind

    def _up_to(self, ends: re.Pattern[str]) -> Iterator[str]:
        begin = 1  # a bracket that comes first would never be passed
        while self._peek():
            match = ends.search(self._buffer, self._at + begin)
            end = len(self._buffer) if match is None else match.start()
            piece = self._buffer[self._at : end]
            self._at = end
            yield piece
            if match is not None:
                return
            begin = 0

    # -- the buffer --------------------------------------------------------------------------

    def _fill(self, wanted: int) -> None:
        """Have at least `wanted` characters from here on, or all there are."""
        left = len(self._buffer) - self._at
        self._ended = self._ended or self._stopped()
        if left >= wanted or self._ended:
            return
        pieces = [self._buffer[self._at :]]
        while left < wanted:
            piece = (
                self._text.read(max(self._chunk, wanted - left))
                if self._read < LARGEST_TEXT
                else ""
            )
            if not piece:
                self._ended = True
                break
            self._read += len(piece)
            left += len(piece)
            pieces.append(piece)
        self._buffer = "".join(pieces)
        self._at = 0

    def _peek(self) -> str:
        if self._at >= len(self._buffer):
            self._fill(1)
        return self._buffer[self._at : self._at + 1]

    def _skip(self, characters: re.Pattern[str]) -> None:
        while self._peek():
            match = characters.match(self._buffer, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._buffer):
                return
