"""Footnotes in Markdown: `[^1]` in the text, `[^1]: what it says` on lines of its own.

A note stays where it is written and keeps the name it was given, so that a text which is still
growing never has to renumber what is shown. No Qt, and markdown_it only for types.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

_LABEL = r"\[\^([^\s\]\[^]{1,60})\]"
_DEFINITION = re.compile(_LABEL + r":[ \t]*")
_REFERENCE = re.compile(_LABEL)
_INDENT = 4  # columns by which the further paragraphs of a note are indented


def install(parser: MarkdownIt) -> None:
    """Add the rules to `parser`; `notes` of the environment holds the names that are defined."""
    parser.block.ruler.before("reference", "footnote", _definition, {"alt": ["paragraph"]})
    parser.inline.ruler.before("link", "footnote_ref", _reference)
    parser.core.ruler.after("inline", "footnote_label", _label)
    rules: Any = parser.renderer.rules  # type: ignore[attr-defined]
    rules["footnote_open"] = lambda *_: '<div class="footnote">\n'
    rules["footnote_close"] = lambda *_: "</div>\n"
    rules["footnote_label"] = _superscript
    rules["footnote_ref"] = _superscript


def _definition(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if state.is_code_block(start) or state.parentType == "footnote":
        return False
    begin = state.bMarks[start] + state.tShift[start]
    match = _DEFINITION.match(state.src, begin, state.eMarks[start])
    if match is None or match.end() >= state.eMarks[start]:
        return False
    if silent:
        return True
    label = match.group(1)
    state.env.setdefault("notes", {}).setdefault(label, start)
    opened = state.push("footnote_open", "div", 1)
    opened.meta = {"label": label}
    opened.map = lines = [start, start]
    # The first line begins behind the name, at the column where the further ones may begin.
    before = (state.bMarks[start], state.tShift[start], state.sCount[start], state.blkIndent)
    parent, tight = state.parentType, state.tight
    state.blkIndent += _INDENT
    state.bMarks[start] = match.end()
    state.tShift[start] = 0
    state.sCount[start] = state.blkIndent
    state.parentType = "footnote"
    state.md.block.tokenize(state, start, end)
    state.bMarks[start], state.tShift[start], state.sCount[start], state.blkIndent = before
    state.parentType, state.tight = parent, tight
    lines[1] = state.line
    closed = state.push("footnote_close", "div", -1)
    closed.map = lines
    return True


def _reference(state: StateInline, silent: bool) -> bool:
    source, begin = state.src, state.pos
    if source[begin : begin + 2] != "[^":
        return False
    match = _REFERENCE.match(source, begin, state.posMax)
    if match is None or match.group(1) not in state.env.get("notes", ()):
        return False
    if not silent:
        state.push("footnote_ref", "sup", 0).content = match.group(1)
    state.pos = match.end()
    return True


def _label(state: StateCore) -> None:
    """Put the name of a note before its first words."""
    from markdown_it.token import Token

    for before, paragraph, words in zip(
        state.tokens, state.tokens[1:], state.tokens[2:], strict=False
    ):
        if before.type == "footnote_open" and paragraph.type == "paragraph_open":
            name = Token("footnote_label", "sup", 0, content=before.meta["label"])
            words.children = [name, *(words.children or ())]


# The arguments are markdown_it's: tokens, index, options, environment.
def _superscript(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    token = tokens[index]
    space = " " if token.type == "footnote_label" else ""
    return f"<sup>{html.escape(token.content)}</sup>{space}"
