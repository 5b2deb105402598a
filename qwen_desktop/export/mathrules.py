r"""Markdown rules that keep formulas whole: `$..$`, `$$..$$`, `\(..\)`, `\[..\]`.

Without them Markdown would eat the backslashes and read `_` and `*` inside a formula as
emphasis. No Qt, and markdown_it only for types: the caller passes the parser in.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline

_BLOCKS = {"$$": "$$", "\\[": "\\]"}
_ENDS = {
    ")": re.compile(r"[^\\]*(?:\\[^)][^\\]*)*\\\)"),
    "]": re.compile(r"[^\\]*(?:\\[^\]][^\\]*)*\\\]"),
}
_LONGEST = 2_000  # characters of one inline formula; keeps a stray `$` from scanning a long text


def install(parser: MarkdownIt) -> None:
    """Add the block and inline rules to `parser`."""
    parser.block.ruler.before(
        "fence", "math_block", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.inline.ruler.before("escape", "math_inline", _inline)


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A formula on lines of its own; one that is still open reaches to the end of the text."""
    if state.is_code_block(start):
        return False
    first = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]].rstrip()
    closing = _BLOCKS.get(first[:2])
    if closing is None:
        return False
    line = start
    closed = _closes(first[2:], closing)
    while not closed:
        if closing in first[2:]:
            return False  # "$$a$$ and so on" is a paragraph
        line += 1
        if line >= end:
            if state.level > 0:
                return False  # the quote or list may go on after its end
            break
        if state.isEmpty(line) or state.sCount[line] < state.blkIndent:
            return False  # a formula holds no blank line, so a stray "$$" ends with its paragraph
        text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()
        if _closes(text, closing):
            closed = True
        elif closing in text:
            return False
    if silent:
        return True
    state.line = min(line + 1, end)
    token = state.push("math_block", "math", 0)
    token.block = True
    token.map = [start, state.line]
    token.content = state.getLines(start, state.line, state.tShift[start], False).strip()
    return True


def _closes(text: str, closing: str) -> bool:
    """Whether the formula ends with this text, and not before its end."""
    return text.endswith(closing) and text.find(closing) == len(text) - len(closing)


def _inline(state: StateInline, silent: bool) -> bool:
    source, begin = state.src, state.pos
    pair = source[begin : begin + 2]
    if pair in ("\\(", "\\["):
        stop = _find(source, ")" if pair == "\\(" else "]", begin + 2, state.posMax)
    elif pair == "$$":
        stop = source.find("$$", begin + 2, min(state.posMax, begin + _LONGEST))
        stop = stop + 2 if stop > begin + 2 else -1
    elif pair[:1] == "$":
        stop = _dollar(source, begin, min(state.posMax, begin + _LONGEST))
    else:
        return False
    if stop < 0:
        return False
    if not silent:
        token = state.push("math_inline", "math", 0)
        token.content = source[begin:stop]
    state.pos = stop
    return True


def _find(source: str, closing: str, begin: int, limit: int) -> int:
    r"""The end of `\)` or `\]` after `begin`, or -1; an escaped backslash does not count."""
    limit = min(limit, begin + _LONGEST)
    # A text may begin a formula at every second character: no loop of ours looks for each end.
    if source.find("\\" + closing, begin, limit) < 0:
        return -1
    match = _ENDS[closing].match(source, begin, limit)
    return match.end() if match is not None else -1


def _dollar(source: str, begin: int, limit: int) -> int:
    """The end of `$..$` or -1. Prices stay text: no space inside the marks, no digit outside."""
    before = source[max(0, begin - 1) : begin]
    if begin + 1 >= limit or source[begin + 1].isspace() or before.isdigit():
        return -1
    at = begin + 1
    while (at := source.find("$", at, limit)) >= 0:
        if source[at - 1] == "\\":
            at += 1
            continue
        following = source[at + 1 : at + 2]
        if source[at - 1].isspace() or following.isdigit() or following == "$":
            return -1
        return at + 1
    return -1
