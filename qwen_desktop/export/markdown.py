"""A conversation as Markdown. What was said stands in it verbatim wherever that can be read back;
only what would spill over its message is kept in: an open fence is closed, raw HTML is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from qwen_desktop.chat.exporting import ExportOptions
from qwen_desktop.chat.record import Record
from qwen_desktop.export.turns import Turn, heading, turns
from qwen_desktop.export.words import Words

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~$&])")
_MARKUP = re.compile(r"<[A-Za-z/!?]")
_LONGEST = 200_000  # characters of a message that is looked through; a longer one is fenced
# What is left alone, and tags, in the text between fences.
# A run of backticks is taken as a whole, or a long one would be tried from each of them.
_PIECES = re.compile(r"(`+)(?!`)(?:(?!`).|\n)+?\1(?!`)|`+|\\.|<(?=[A-Za-z/!?])", re.DOTALL)
_AUTOLINK = re.compile(r"<[A-Za-z][A-Za-z0-9+.-]+:[^\s<>]*>|<[^\s<>@]+@[^\s<>@]+>")


def rendered(record: Record, options: ExportOptions, words: Words) -> Iterator[str]:
    """The document, a message at a time."""
    top = heading(record, words)
    facts = f"*{_escaped(' · '.join(top.facts))}*\n\n" if top.facts else ""
    yield f"# {_escaped(top.title)}\n\n{facts}"
    for turn in turns(record, options, words):
        yield message(turn, words) + "\n\n"


def message(turn: Turn, words: Words) -> str:
    """One message with its heading."""
    pieces = [f"## {_escaped(turn.heading)}"]
    if turn.version:
        pieces.append(f"*{_escaped(turn.version)}*")
    if turn.facts:
        pieces.append(f"*{_escaped(' · '.join(turn.facts))}*")
    if turn.reasoning.strip():
        pieces += _folded(words.reasoning, contained(turn.reasoning.strip("\n")))
    for file in turn.files:
        pieces += _folded(file.heading, fenced(file.text))
    if turn.text.strip():
        pieces.append(contained(turn.text.strip("\n")))
    if turn.note:
        pieces.append(f"> {_escaped(turn.note)}")
    return "\n\n".join(pieces)


def _folded(summary: str, inner: str) -> tuple[str, ...]:
    return (f"<details>\n<summary>{_escaped(summary)}</summary>", inner, "</details>")


def contained(source: str) -> str:
    """Markdown that reads as `source` does, and ends where it ends."""
    if len(source) > _LONGEST:
        return fenced(source)
    if _MARKUP.search(source):
        source = _without_markup(source)
    return source + _missing_fence(source)


def fenced(source: str) -> str:
    """`source` as it is written, between fences longer than any in it."""
    longest = max((len(marks) for marks in re.findall(r"`{3,}", source)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}text\n{source}\n{fence}"


def _missing_fence(source: str) -> str:
    """What closes the fence that is open at the end; mostly nothing."""
    if "```" not in source and "~~~" not in source:
        return ""
    tokens = _parser(html=False).parse(source)
    last = tokens[-1] if tokens else None
    if last is None or last.type != "fence" or last.map is None:
        return ""
    lines = source.split("\n")[last.map[0] : last.map[1]]
    mark = re.escape(last.markup[0])
    closing = rf" {{0,3}}{mark}{{{len(last.markup)},}}[ \t]*"
    closed = len(lines) > 1 and re.fullmatch(closing, lines[-1]) is not None
    return "" if closed else "\n" + last.markup


def _without_markup(source: str) -> str:
    """`source` with raw HTML escaped, as the application shows it; else all of it fenced."""
    if not _has_markup(source):
        return source
    escaped = _escape_markup(source)
    plain = _parser(html=False)
    if _has_markup(escaped) or plain.render(escaped) != plain.render(source):
        return fenced(source)
    return escaped


def _escape_markup(source: str) -> str:
    lines = source.split("\n")
    code: set[int] = set()
    for token in _parser(html=False).parse(source):
        if token.type in ("fence", "code_block", "math_block") and token.map is not None:
            code.update(range(*token.map))
    found: list[str] = []
    at = 0
    while at < len(lines):
        end = at
        while end < len(lines) and (end in code) == (at in code):
            end += 1
        part = "\n".join(lines[at:end])
        found.append(part if at in code else _PIECES.sub(_escape, part))
        at = end
    return "\n".join(found)


def _escape(match: re.Match[str]) -> str:
    piece = match.group()
    if piece != "<" or _AUTOLINK.match(match.string, match.start()):
        return piece
    return "\\<"


def _has_markup(source: str) -> bool:
    for token in _parser(html=True).parse(source):
        if token.type == "html_block":
            return True
        if any(child.type == "html_inline" for child in token.children or ()):
            return True
    return False


@lru_cache(maxsize=2)
def _parser(*, html: bool) -> MarkdownIt:
    from markdown_it import MarkdownIt

    # As readers of Markdown have it: without our formulas, with their HTML.
    return MarkdownIt("commonmark", {"html": html}).enable(["table", "strikethrough"])


def _escaped(line: str) -> str:
    return _SPECIAL.sub(r"\\\1", line)


def copied(record: Record, words: Words) -> str:
    """The shown branch for the clipboard: without reasoning, and as it was written.

    Of files it has the names.
    """
    pieces = []
    for turn in turns(record, ExportOptions(reasoning=False), words):
        said = [f"*{_escaped(file.heading)}*" for file in turn.files]
        if turn.text.strip():
            text = turn.text.strip("\n")
            said.append(text + _missing_fence(text) if len(text) <= _LONGEST else text)
        if said:
            pieces.append("\n\n".join((f"## {_escaped(turn.heading)}", *said)))
    return "\n\n".join(pieces) + "\n" if pieces else ""
