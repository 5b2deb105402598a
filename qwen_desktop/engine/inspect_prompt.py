"""Tells which tokens of a prompt are what: turns, texts, files, and what the template adds.

The ids are the truth here too: what a message says is looked for in the bytes that the ids spell,
between the marks of the template where it has some, and in order where it has none. So ids that a
model generated, and templates that trim their texts, are met the same way.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from qwen_desktop.chat.attached import read_as
from qwen_desktop.chat.inspected import Segment, SegmentKind
from qwen_desktop.chat.messages import Message, Role
from qwen_desktop.chat.text import whole
from qwen_desktop.engine.tokenizer import THINK_OPEN, Tokenizer

_KINDS = {
    Role.SYSTEM: SegmentKind.SYSTEM,
    Role.USER: SegmentKind.USER,
    Role.ASSISTANT: SegmentKind.ASSISTANT,
}


@dataclass(frozen=True)
class Told:
    """What a prompt is said to hold: its messages in order, before them the system prompt.

    `given` of the last ids are the beginning of the answer, `opening` before them what the
    template opens it with, where that is known.
    """

    shown: Sequence[Message]
    system: str = ""
    given: int = 0
    opening: int | None = None


@dataclass
class Parted:
    """`segments` tile the ids.

    `dropped` are ids of answers whose reasoning is not there; `marked`: the turns were told apart
    by marks; `all_found`: so was the text of every message.
    """

    segments: list[Segment] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    marked: bool = True
    all_found: bool = True


def spelled(tokenizer: Tokenizer, ids: Sequence[int]) -> list[bytes]:
    """The bytes of each token; the name of one that controls the model."""
    names = {number: text.encode() for number, text in tokenizer.added.items()}
    return [names[one] if one in names else tokenizer.piece(one) for one in ids]


def lookalikes(
    tokenizer: Tokenizer, ids: Sequence[int], pieces: Sequence[bytes]
) -> tuple[tuple[int, int], ...]:
    """Ranges of tokens whose text is the name of a control token, and that are none."""
    names = sorted({text for text in tokenizer.added.values() if text.strip()}, key=len)
    if not names:
        return ()
    marks = re.compile(b"|".join(re.escape(name.encode()) for name in reversed(names)))
    plain = [
        b"\0" * len(piece) if one in tokenizer.added else piece
        for one, piece in zip(ids, pieces, strict=True)
    ]
    offsets = list(accumulate((len(piece) for piece in plain), initial=0))
    found: list[tuple[int, int]] = []
    for match in marks.finditer(b"".join(plain)):
        start = bisect_right(offsets, match.start()) - 1
        end = bisect_left(offsets, match.end())
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)


def part(tokenizer: Tokenizer, ids: Sequence[int], pieces: Sequence[bytes], told: Told) -> Parted:
    """Take a prompt apart."""
    return _Parting(tokenizer, ids, pieces, told).parted()


class _Parting:
    """One prompt on its way into segments, from its beginning to its end."""

    def __init__(
        self, tokenizer: Tokenizer, ids: Sequence[int], pieces: Sequence[bytes], told: Told
    ) -> None:
        self._tokenizer, self._ids, self._told = tokenizer, ids, told
        self._offsets = list(accumulate((len(piece) for piece in pieces), initial=0))
        self._bytes = b"".join(pieces)
        self._end = len(ids) - told.given  # of what is not given
        self._at = 0  # tokens that are told
        self._turn = 0
        self._role = ""
        self._message: str | None = None
        self._made = Parted()

    def parted(self) -> Parted:
        mark = self._tokenizer.message_start
        marks = [i for i in range(self._end) if self._ids[i] == mark] if mark is not None else []
        if not self._tokenizer.has_template:
            self._as_text()
        elif len(marks) > len(self._told.shown):
            self._by_marks(marks)
        else:
            self._made.marked = False
            self._in_order()
        self._of(Role.ASSISTANT.value, None)
        self._emit(SegmentKind.GIVEN, len(self._ids))
        return self._made

    # -- with marks -------------------------------------------------------------------------

    def _by_marks(self, marks: list[int]) -> None:
        shown = self._told.shown
        own = len(marks) - len(shown) - 1  # marks before them are of turns the template adds
        self._emit(SegmentKind.FRAME, marks[0])
        for number, start in enumerate(marks[:-1]):
            end = marks[number + 1]
            if number < own:
                self._of(Role.SYSTEM.value, None)
                body = [(SegmentKind.SYSTEM, "", self._told.system)]
                self._span(start, end, body, whole_body=True)
            else:
                message = shown[number - own]
                self._of(message.role.value, message.id)
                if message.role is Role.ASSISTANT:
                    self._answer(start, end, message)
                else:
                    self._span(start, end, _parts(message))
            self._turn += 1
        self._of(Role.ASSISTANT.value, None)
        self._emit(SegmentKind.OPENING, self._end)

    def _span(
        self,
        start: int,
        end: int,
        parts: list[tuple[SegmentKind, str, str]],
        *,
        whole_body: bool = False,
    ) -> None:
        """A turn, from its mark to the next one's; `whole_body`: its text may be another."""
        low, high = self._body(start, end)
        if self._parts(parts, low, high):
            pass
        elif whole_body or any(text.strip() for _, _, text in parts):
            self._made.all_found &= whole_body
            first, last = self._tokens(low, high)
            self._emit(SegmentKind.FRAME, first)
            self._emit(parts[-1][0], last)
        self._emit(SegmentKind.FRAME, end)

    def _body(self, start: int, end: int) -> tuple[int, int]:
        """The bytes of a turn between the line of its role and its end mark."""
        special = self._tokenizer.special
        last = next((i for i in range(end - 1, start, -1) if self._ids[i] in special), end)
        low, high = self._offsets[start + 1], self._offsets[last]
        line = self._bytes.find(b"\n", low, high)
        return (line + 1 if line >= 0 else low), high

    def _answer(self, start: int, end: int, message: Message) -> None:
        """An earlier answer, with its reasoning where the template keeps that."""
        low, high = self._body(start, end)
        text = self._find(message.text, low, high, last=True)
        thought = None
        if message.reasoning.strip():
            until = text[0] if text is not None else high
            thought = self._find(message.reasoning, low, until)
            if thought is None:
                self._made.dropped.append(message.id)
        if thought is not None:
            opened = self._bytes.rfind(THINK_OPEN.encode(), low, thought[0])
            self._emit(SegmentKind.FRAME, self._first(opened if opened >= 0 else thought[0]))
            self._emit(SegmentKind.REASONING, self._first(text[0] if text is not None else high))
        if text is None and message.text.strip() and thought is None:
            self._made.all_found = False
            text = (low, high)
        if text is not None:
            first, last = self._tokens(*text)
            self._emit(SegmentKind.FRAME, first)
            self._emit(SegmentKind.ASSISTANT, last)
        self._emit(SegmentKind.FRAME, end)

    # -- without ----------------------------------------------------------------------------

    def _in_order(self) -> None:
        """Texts in the order in which they stand; what is between them is the template's."""
        low, high = 0, self._offsets[self._end]
        for role, name, parts in self._sequence():
            self._of(role, name)
            before = self._at
            self._parts(parts, low, high)
            if self._at > before:
                low = max(low, self._offsets[self._at])
                self._turn += 1
            elif any(text.strip() for _, _, text in parts):
                self._made.all_found = False
        self._of(Role.ASSISTANT.value, None)
        opening = self._told.opening
        if opening is not None and self._at <= self._end - opening:
            self._emit(SegmentKind.FRAME, self._end - opening)
        self._emit(SegmentKind.OPENING, self._end)

    def _as_text(self) -> None:
        """A text that goes on: every token belongs to what was said, there are no turns.

        A token that spells the end of one message and the beginning of the next is the first's.
        """
        low, high = 0, self._offsets[self._end]
        last: SegmentKind | None = None
        self._of("", None)
        for role, name, parts in self._sequence():
            for kind, file, text in parts:
                found = self._find(text, low, high)
                if found is None:
                    self._made.all_found &= not text.strip()
                    continue
                first, end = self._tokens(*found)
                if last is not None:
                    self._stretch(first)  # over what stands between two of them
                self._of(role, name)
                self._emit(kind, end, file)
                low, last = found[1], kind
                self._turn += kind is not SegmentKind.FILE
        if last is not None:
            self._stretch(self._end)
        self._emit(SegmentKind.TEXT, self._end)

    def _sequence(self) -> Iterator[tuple[str, str | None, list[tuple[SegmentKind, str, str]]]]:
        shown = self._told.shown
        own = bool(shown) and shown[0].role is Role.SYSTEM
        if self._told.system.strip() and not own:
            yield Role.SYSTEM.value, None, [(SegmentKind.SYSTEM, "", self._told.system)]
        for message in shown:
            yield message.role.value, message.id, _parts(message)
            if message.role is Role.ASSISTANT and message.reasoning.strip():
                self._made.dropped.append(message.id)

    # -- texts ------------------------------------------------------------------------------

    def _parts(self, parts: list[tuple[SegmentKind, str, str]], low: int, high: int) -> bool:
        """Tell the texts of one message; False where not all of them were found."""
        places: list[tuple[SegmentKind, str, int, int]] = []
        for kind, name, text in parts:
            if not text.strip():
                continue
            found = self._find(text, low, high)
            if found is None:
                return False
            places.append((kind, name, *found))
            low = found[1]
        for number, (kind, name, begin, end) in enumerate(places):
            if number + 1 < len(places):  # the empty line behind a file is a part of it
                end = places[number + 1][2]
            first, last = self._tokens(begin, end)
            self._emit(SegmentKind.FRAME, first)
            self._emit(kind, last, name)
        return bool(places)

    def _find(
        self, text: str, low: int, high: int, *, last: bool = False
    ) -> tuple[int, int] | None:
        """Where `text` stands in the bytes from `low` to `high`, as it is or trimmed."""
        for variant in _variants(text):
            wanted = variant.encode("utf-8", "replace")
            at = (self._bytes.rfind if last else self._bytes.find)(wanted, low, high)
            if at >= 0:
                return at, at + len(wanted)
        return None

    def _first(self, begin: int) -> int:
        """The token that has the byte `begin`."""
        return bisect_right(self._offsets, begin) - 1

    def _tokens(self, begin: int, end: int) -> tuple[int, int]:
        """The tokens that have the bytes `begin` to before `end`; the first may begin before."""
        return self._first(begin), bisect_left(self._offsets, end)

    # -- segments ---------------------------------------------------------------------------

    def _of(self, role: str, message: str | None) -> None:
        self._role, self._message = role, message

    def _emit(self, kind: SegmentKind, end: int, name: str = "") -> None:
        """All up to token `end` that is not told yet is of `kind`."""
        if end <= self._at:
            return
        made = self._made.segments
        here = (kind, self._message, self._turn)
        is_file = kind is SegmentKind.FILE
        if made and not is_file and (made[-1].kind, made[-1].message_id, made[-1].turn) == here:
            self._stretch(end)
            return
        made.append(Segment(kind, self._at, end, self._role, self._message, name, self._turn))
        self._at = end

    def _stretch(self, end: int) -> None:
        """All up to token `end` belongs to the last segment."""
        if end > self._at:
            self._made.segments[-1] = replace(self._made.segments[-1], end=end)
            self._at = end


def _parts(message: Message) -> list[tuple[SegmentKind, str, str]]:
    """Kind, name and text of what a message says, in the order in which the model reads it."""
    files = [(SegmentKind.FILE, file.name, read_as(file)) for file in message.files]
    return [*files, (_KINDS[message.role], "", message.text)]


def _variants(text: str) -> Iterator[str]:
    """`text`, and what templates and tokenizers make of it."""
    known: set[str] = set()
    text = whole(text)
    for form in (text, unicodedata.normalize("NFC", text)):
        for variant in (
            form,
            form.strip("\n"),
            form.lstrip("\n"),
            form.rstrip("\n"),
            form.strip(),
            form.lstrip(),
            form.rstrip(),
            form.strip().replace("\r", ""),
        ):
            if variant and variant not in known:
                known.add(variant)
                yield variant
