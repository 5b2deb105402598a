"""The words of a message as they will be shown, without widgets: to count what is found. No Qt."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from qwen_desktop.chat.matching import Matcher
from qwen_desktop.chat.messages import Message, Role
from qwen_desktop.ui.timeline.markdown import Block, normalized, parse
from qwen_desktop.ui.timeline.spans import Spans

_LINE_ENDS = re.compile(r"<(?:br|/p|/li|/t[dh]|/h\d|/pre|/blockquote)\b[^>]*>")
_TAGS = re.compile(r"<[^>]*>")
_MARKS = re.compile(r"[*_~`\\]")  # what Markdown takes out of the middle of words


_PIECE = 20_000  # characters that are looked through at once
_AROUND = 300  # more of them on both sides: what is found begins in a piece and may end behind


def found_in(matcher: Matcher, text: str, begin: int = 0) -> Iterator[Spans]:
    """What is found in a text, piece by piece, from the piece with character `begin` on."""
    for start in range(begin - begin % _PIECE, max(1, len(text)), _PIECE):
        yield _piece(matcher, text, start)


def first_behind(matcher: Matcher, text: str, place: int) -> tuple[int, int] | None:
    """The first occurrence that does not end before `place`."""
    for spans in found_in(matcher, text, max(0, place - _AROUND)):
        for span in spans:
            if span[1] > place:
                return span
    return None


def last_in(matcher: Matcher, text: str) -> tuple[int, int] | None:
    """The last occurrence in a text."""
    for start in reversed(range(0, len(text), _PIECE)):
        if spans := _piece(matcher, text, start):
            return spans[-1]
    return None


def _piece(matcher: Matcher, text: str, start: int) -> Spans:
    low, end = max(0, start - _AROUND), start + _PIECE
    spans = matcher.spans(text[low : end + _AROUND])
    return [(low + a, low + b) for a, b in spans if start <= low + a < end]


def counts_in_text(matcher: Matcher, message: Message) -> Iterator[int]:
    """How often something is found in parts of what a message says, but for its files."""
    text = normalized(message.text)
    if message.role is Role.USER:
        yield from map(len, found_in(matcher, text))
    else:
        yield from _counts(matcher, text)


def counts_in_reasoning(matcher: Matcher, message: Message) -> Iterator[int]:
    """How often something is found in parts of the reasoning of a message."""
    return _counts(matcher, normalized(message.reasoning))


def _counts(matcher: Matcher, source: str) -> Iterator[int]:
    """The same in rendered Markdown. Most texts have nothing in their source already."""
    if not source:
        return
    for text in (source, html.unescape(_MARKS.sub("", source))):
        for spans in found_in(matcher, text):
            yield 0
            if spans:
                break
        else:
            continue
        break
    else:
        return
    for text in texts(parse(source)):
        yield from map(len, found_in(matcher, text))


def texts(blocks: Sequence[Block]) -> Iterator[str]:
    """The text of each widget that blocks become, from the top; of formulas their source."""
    for block in blocks:
        if block.children:
            yield from texts(block.children)
        elif block.kind == "code":
            yield block.code.removesuffix("\n")
        elif block.kind == "math":
            yield block.code
        elif block.html:
            yield html.unescape(_TAGS.sub("", _LINE_ENDS.sub("\n", block.html)))
