r"""Markdown rules that keep formulas whole: `$..$`, `$$..$$`, `\(..\)`, `\[..\]`, `\begin{..}`.

Without them Markdown would eat the backslashes and read `_` and `*` inside a formula as
emphasis. No Qt, and markdown_it only for types: the caller passes the parser in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
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
# What LaTeX sets as mathematics; `\begin{itemize}` and others are left as they are.
_BEGIN = re.compile(
    r"\\begin\{((?:equation|align|alignat|flalign|gather|multline|eqnarray|aligned|alignedat"
    r"|gathered|split|cases|dcases|rcases|array|subarray|[pbBvV]?matrix|smallmatrix)\*?)\}"
)
_LONGEST = 2_000  # characters of one inline formula; keeps a stray `$` from scanning a long text
_LINK = re.compile(r"[^\\]\][(:\[]")  # `\[no link](x)` is the text of somebody who knows Markdown
_STOPS = ".,;:"  # may follow a formula on lines of its own
_UNENDING = "/([{,:;"  # what a formula does not end with, but a path or a list of variables does


@dataclass(frozen=True)
class Formula:
    """One formula: what stands between its marks, and whether it is set large."""

    tex: str
    display: bool


@lru_cache(maxsize=1024)
def formula(source: str) -> Formula | None:
    r"""What `source`, with its marks, says. None where it is still open, or empty."""
    source = source.strip()
    for opening, closing, display in (
        ("$$", "$$", True),
        ("\\[", "\\]", True),
        ("\\(", "\\)", False),
        ("$", "$", False),
    ):
        if source.startswith(opening):
            inside = source[len(opening) : -len(closing)].strip()
            closed = source.endswith(closing) and len(source) > len(opening) + len(closing)
            return Formula(inside, display) if closed and inside.strip("\\ ") else None
    begun = _BEGIN.match(source)
    if begun is None or not source.rstrip(_STOPS).endswith(f"\\end{{{begun.group(1)}}}"):
        return None
    return Formula(source, True)


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
    if first[:2] == "\\[" and _LINK.search(first):
        return False
    marks = _marks(first)
    if marks is None:
        return False
    line = start
    depth = marks.depth(first) if marks.opening else None
    closed = marks.closes(first[2:], depth)
    while not closed:
        if marks.closing in first[2:] and not depth:
            return False  # "$$a$$ and so on" is a paragraph
        line += 1
        if line >= end:
            if state.level > 0:
                return False  # the quote or list may go on after its end
            break
        if state.isEmpty(line) or state.sCount[line] < state.blkIndent:
            return False  # a formula holds no blank line, so a stray "$$" ends with its paragraph
        text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()
        if depth is not None:
            depth += marks.depth(text)
        if marks.closes(text, depth):
            closed = True
        elif marks.closing in text and not depth:
            return False
    if silent:
        return True
    state.line = min(line + 1, end)
    token = state.push("math_block", "math", 0)
    token.block = True
    token.map = [start, state.line]
    token.content = state.getLines(start, state.line, state.tShift[start], False).strip()
    return True


@dataclass(frozen=True)
class _Marks:
    r"""How a formula that has begun ends; `opening` only where it can lie within itself."""

    closing: str
    opening: str = ""

    def depth(self, text: str) -> int:
        r"""How many more are open after `text` than before."""
        return text.count(self.opening) - text.count(self.closing)

    def closes(self, text: str, depth: int | None) -> bool:
        """Whether the formula ends with this text, and not before its end."""
        if depth is not None:
            return depth == 0 and text.rstrip(_STOPS).endswith(self.closing)
        return text.endswith(self.closing) and text.find(self.closing) == len(text) - len(
            self.closing
        )


def _marks(first: str) -> _Marks | None:
    """The marks of a formula that begins a line."""
    closing = _BLOCKS.get(first[:2])
    if closing is not None:
        return _Marks(closing)
    begun = _BEGIN.match(first)
    if begun is None:
        return None
    return _Marks(f"\\end{{{begun.group(1)}}}", begun.group(0))


def _inline(state: StateInline, silent: bool) -> bool:
    source, begin = state.src, state.pos
    limit = min(state.posMax, begin + _LONGEST)
    pair = source[begin : begin + 2]
    if pair in ("\\(", "\\["):
        stop = _find(source, ")" if pair == "\\(" else "]", begin + 2, limit)
    elif pair == "\\b":
        stop = _environment(source, begin, limit)
    elif pair == "$$":
        stop = source.find("$$", begin + 2, limit)
        stop = stop + 2 if stop > begin + 2 else -1
    elif pair[:1] == "$":
        stop = _dollar(source, begin, limit)
    else:
        return False
    if stop < 0 or formula(source[begin:stop]) is None:
        return False
    if not silent:
        token = state.push("math_inline", "math", 0)
        token.content = source[begin:stop]
        token.meta = {"end": stop}
    state.pos = stop
    return True


def _find(source: str, closing: str, begin: int, limit: int) -> int:
    r"""The end of `\)` or `\]` after `begin`, or -1; an escaped backslash does not count."""
    # A text may begin a formula at every second character: no loop of ours looks for each end.
    if source.find("\\" + closing, begin, limit) < 0:
        return -1
    match = _ENDS[closing].match(source, begin, limit)
    return match.end() if match is not None else -1


def _environment(source: str, begin: int, limit: int) -> int:
    r"""The end of `\begin{..}..\end{..}` or -1; the same one may lie within."""
    begun = _BEGIN.match(source, begin, limit)
    if begun is None:
        return -1
    opening, closing = begun.group(0), f"\\end{{{begun.group(1)}}}"
    at = begun.end()
    for _ in range(8):
        end = source.find(closing, at, limit)
        if end < 0:
            return -1
        at = end + len(closing)
        if source.count(opening, begin, at) == source.count(closing, begin, at):
            return at
    return -1


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
        if source[at - 1] in _UNENDING and following.isalpha():
            return -1  # $HOME/$USER
        return at + 1
    return -1
