"""One line of a text around what was found in it. Pure."""

from __future__ import annotations

import re

from qwen_desktop.chat import folding
from qwen_desktop.chat.folding import Places
from qwen_desktop.chat.matching import Matcher
from qwen_desktop.chat.search import Snippet

LENGTH = 120  # characters
_BEFORE = 36  # characters before the first mark
_NEAR = 200  # characters looked at on either side, a part of which is Markdown

# What Markdown writes and nobody reads, each with what stays of it.
_MARKUP = (
    (re.compile(r"^[ \t]*(?:```|~~~)[^\n]*$", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*(?:#{1,6}|>|[-*+](?: \[[ xX]\])?|\d{1,3}[.)])[ \t]+", re.MULTILINE), ""),
    (re.compile(r"^[ \t|]*:?-{2,}[-:| \t]*$", re.MULTILINE), ""),
    (re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)"), r"\1"),
    (re.compile(r"\*\*|__|~~|`+"), ""),
    (re.compile(r"(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w)"), ""),
    (re.compile(r"[ \t]*\|[ \t]*"), " "),
)


def around(text: str, at: int, matcher: Matcher, *, markdown: bool) -> Snippet:
    """The line around place `at` of `text`, where something begins that `matcher` finds."""
    begin, end = max(0, at - _NEAR), at + _NEAR
    before, near = text[begin:at], text[begin:end]
    ends = end >= len(text)
    if markdown:
        line = _one_line(_bare(near))
        marks = matcher.spans(line)
        if marks or not matcher.needles:
            return _cut(line, _nearest(marks, len(_one_line(_bare(before)))), marks, begin, ends)
    line = _one_line(near)
    marks = matcher.spans(line)
    return _cut(line, _nearest(marks, len(_one_line(before))), marks, begin, ends)


def of_title(title: str, matcher: Matcher) -> Snippet:
    """A title, with marks wherever the letters stand, as titles are searched by them."""
    folded = folding.folded(title)
    places = Places(title)
    marks = []
    for needle in matcher.needles:
        at = folded.find(needle.text)
        while at >= 0:
            end = at + len(needle.text)
            marks.append((places.begin(at), places.end(end)))
            at = folded.find(needle.text, end)
    return Snippet(title, _apart(marks))


def _bare(text: str) -> str:
    for pattern, instead in _MARKUP:
        text = pattern.sub(instead, text)
    return text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _nearest(marks: list[tuple[int, int]], at: int) -> int:
    """Where the mark that stands at about `at` begins."""
    return min((begin for begin, _ in marks), key=lambda begin: abs(begin - at), default=0)


def _cut(line: str, first: int, marks: list[tuple[int, int]], left_out: int, ends: bool) -> Snippet:
    """The part of a line around `first`, with dots where something is left out."""
    begin = max(0, first - _BEFORE)
    if len(line) - begin < LENGTH:
        begin = max(0, len(line) - LENGTH) if ends else begin
    if begin > 0:
        space = line.find(" ", begin, first)
        begin = space + 1 if 0 <= space < begin + 16 else begin
    end = min(len(line), begin + LENGTH)
    if end < len(line):
        space = line.rfind(" ", end - 16, end)
        end = space if space > first else end
    head = "…" if begin > 0 or left_out else ""
    tail = "…" if end < len(line) or not ends else ""
    shift = len(head) - begin
    kept = [(low + shift, min(high, end) + shift) for low, high in marks if begin <= low < end]
    return Snippet(head + line[begin:end] + tail, tuple(kept))


def _apart(marks: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Marks from the left, those that touch one another as one."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(marks):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return tuple(merged)
