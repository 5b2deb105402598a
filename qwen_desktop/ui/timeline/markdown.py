"""Markdown to blocks, whole or as it grows. No Qt.

markdown_it costs 40 ms to import, so it is imported at the first use, after the first paint.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from qwen_desktop.export.growing import Growing
from qwen_desktop.export.parser import make_parser, normalized, web_address

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

__all__ = [
    "NOTE",
    "Block",
    "MarkdownTail",
    "normalized",
    "parse",
    "steady",
    "web_address",
    "weight",
]

NOTE = "#note:"  # the link of a reference to a footnote begins so
_HEAVIEST = 300.0  # lists and tables that weigh more are shown as their source
_DEEPEST = 6  # quotes and lists below this depth are shown as plain text
_RICH = frozenset(
    {"fence", "code_block", "html_block", "table_open", "blockquote_open", "math_block", "hr"}
    | {"footnote_open"}
)
_NAMES = {
    "fence": "code",
    "code_block": "code",
    "html_block": "code",
    "math_block": "math",
    "table_open": "table",
    "hr": "rule",
}
_TASK = re.compile(r"\[([ xX])\](?:\s|$)")
_LIST = re.compile(r"\n(?=<[uo]l)")
_FENCE = re.compile(r"(`{3,}|~{3,})")
# One of these at the end of a growing text may turn out as a rule, a heading or a table.
_UNDECIDED = re.compile(r"[ \t]*(?:=+|-+|\|+|`+|~+|\*+|_+|\$+)[ \t]*")


@dataclass(frozen=True)
class Block:
    """One top-level piece of Markdown, or a nested one inside a quote or list."""

    kind: str  # text, code, quote, table, rule, math, list, item, note
    source: str  # its Markdown, for copying
    line: int  # where it starts, counted from the top of the message
    html: str = ""  # text, table, math
    code: str = ""  # of code; of math the formula with its marks
    language: str = ""
    marker: str = ""  # of an item: "1.", "•", "todo" or "done"; of a note: its name
    children: tuple[Block, ...] = ()  # of a quote, list, item or note


def steady(source: str) -> str:
    """`source` without a last line that cannot be told yet, so that nothing flickers."""
    last = source.rfind("\n") + 1
    return source[:last] if _UNDECIDED.fullmatch(source, last) else source


def parse(source: str) -> list[Block]:
    """The blocks of a whole, normalized text."""
    return _parse(source, 0, {})[0]


class MarkdownTail:
    """Parses a growing text again and again, each time only from the last block that may change.

    After every `feed` the blocks are those of `parse(text)`, but for the definition of a link or a
    footnote that comes after the text which uses it: that one needs a whole parse at the end.
    """

    def __init__(self) -> None:
        self.text = ""
        self.blocks: list[Block] = []
        self._line = 0  # where the parse starts: line, character, number of blocks before it
        self._char = 0
        self._kept = 0
        self._references: dict[str, Any] = {}  # link definitions before that point
        self._notes: dict[str, int] = {}  # and names of footnotes
        self._fence: tuple[str, int] | None = None  # (marks, start of the code) of an open fence
        self._growing = Growing()

    def feed(self, text: str) -> int:
        """Take the whole text so far; returns the index of the first block that may differ."""
        if not text.startswith(self.text):
            self.__init__()  # type: ignore[misc]
        if self._fence is not None and self._grow_fence(text):
            return len(self.blocks) - 1
        self.text = text
        first = self._kept
        environment: dict[str, Any] = {
            "references": dict(self._references),
            "notes": dict(self._notes),
            "growing": self._growing,
        }
        fresh, maps = _parse(text[self._char :], self._line, environment)
        self.blocks[first:] = fresh
        self._advance(maps, environment["references"], environment["notes"])
        self._watch_fence()
        return first

    def _advance(
        self,
        maps: list[tuple[str, int, int]],
        references: dict[str, Any],
        notes: dict[str, int],
    ) -> None:
        """Move the start of the next parse to the last block whose start is certain.

        `maps` holds the token type, first and end line of each fresh block, from the top.
        """
        tail = self.text[self._char :]
        for index in range(len(maps) - 1, 0, -1):
            kind, start, _ = maps[index]
            at = _offset(tail, start - self._line)
            complete = tail.count("\n", at)
            if not complete:
                continue  # its first line is still being written
            blank_before = tail[:at].endswith("\n\n") or not tail[:at].split("\n")[-2].strip()
            adjacent = maps[index - 1][2] == start
            # With a second line it can no longer turn out as the head of a table.
            definite = complete > 1 and kind in ("fence", "heading_open", "hr", "blockquote_open")
            if not (blank_before or (adjacent and definite)):
                continue  # a line more could join it to the block before
            for name, value in references.items():
                if value["map"][0] + self._line < start:
                    self._references.setdefault(name, value)
            for name, line in notes.items():
                if line + self._line < start:
                    self._notes.setdefault(name, line)
            self._line, self._char, self._kept = start, self._char + at, self._kept + index
            return

    def _watch_fence(self) -> None:
        """Remember an open fence at the end, whose growth needs no parse."""
        self._fence = None
        if not self.blocks or self._kept != len(self.blocks) - 1:
            return
        block = self.blocks[-1]
        match = _FENCE.match(self.text, self._char)
        if block.kind != "code" or match is None:
            return
        begin = self.text.find("\n", self._char) + 1
        # From the second line on it cannot turn out as the head of a table.
        if begin and "\n" in block.code and self.text[begin:] == block.code:
            self._fence = (match.group(1), begin)

    def _grow_fence(self, text: str) -> bool:
        """Extend the open fence unless the new text may close it."""
        assert self._fence is not None
        marks, begin = self._fence
        changed = max(begin, self.text.rfind("\n") + 1)
        if re.search(rf"^[ \t]*{re.escape(marks)}", text[changed:], re.MULTILINE):
            return False
        if text[text.rfind("\n") + 1 :].isspace():
            return False  # a last line of spaces does not count yet
        block = self.blocks[-1]
        source = text[self._char :].rstrip("\n")
        self.blocks[-1] = Block(
            "code", source, block.line, code=text[begin:], language=block.language
        )
        self.text = text
        return True


def _offset(text: str, lines: int) -> int:
    """Where line number `lines` of `text` starts."""
    at = 0
    for _ in range(lines):
        at = text.find("\n", at) + 1
    return at


def _parse(
    source: str, base: int, environment: dict[str, Any]
) -> tuple[list[Block], list[tuple[str, int, int]]]:
    tokens = _parser().parse(source, environment)
    builder = _Builder(source.split("\n"), base, environment)
    return builder.blocks(tokens), [
        (group[0].type, base + group[0].map[0], base + group[0].map[1])
        for group in _groups(tokens)
        if group[0].map is not None
    ]


def _groups(tokens: Sequence[Token]) -> list[Sequence[Token]]:
    """The tokens of each outermost block."""
    groups = []
    depth = begin = 0
    for index, token in enumerate(tokens):
        depth += token.nesting
        if depth == 0:
            groups.append(tokens[begin : index + 1])
            begin = index + 1
    return groups


class _Builder:
    """Turns the tokens of one parse into blocks."""

    def __init__(self, lines: list[str], base: int, environment: dict[str, Any]) -> None:
        self._lines = lines
        self._base = base
        self._environment = environment

    def blocks(self, tokens: Sequence[Token], depth: int = 0) -> list[Block]:
        return [_bearable(self._block(group, depth)) for group in _groups(tokens)]

    def _block(self, group: Sequence[Token], depth: int) -> Block:
        token = group[0]
        first, end = token.map or [0, 0]
        source = "\n".join(self._lines[first:end]).rstrip("\n")
        line = self._base + first
        kind = _NAMES.get(token.type, "text")
        if kind == "code":
            language = token.info.strip().split(" ")[0] if token.info else ""
            language = "html" if token.type == "html_block" else language
            return Block("code", source, line, code=token.content, language=language)
        if kind == "rule":
            return Block("rule", source, line)
        if token.type == "footnote_open" and depth < _DEEPEST:
            inner = tuple(self.blocks(group[1:-1], depth + 1))
            return Block("note", source, line, marker=token.meta["label"], children=inner)
        if token.type == "blockquote_open" and depth < _DEEPEST:
            inner = tuple(self.blocks(group[1:-1], depth + 1))
            return Block("quote", source, line, children=inner)
        if token.type in ("bullet_list_open", "ordered_list_open") and depth < _DEEPEST:
            items = _groups(group[1:-1])
            if any(part.type in _RICH for part in group) or any(map(_task, items)):
                inner = tuple(self._item(item, depth) for item in items)
                return Block("list", source, line, children=inner)
        rendered = _parser().renderer.render(list(group), _parser().options, self._environment)
        code = token.content if kind == "math" else ""
        # The sign that stands for a picture in Qt's documents: pictures are formulas only.
        rendered = rendered.strip().replace("\ufffc", "\ufffd")
        # To Qt a line feed before a nested list is a space at the end of the words above.
        return Block(kind, source, line, html=_LIST.sub("", rendered), code=code)

    def _item(self, group: Sequence[Token], depth: int) -> Block:
        token = group[0]
        first, end = token.map or [0, 0]
        task = _task(group)
        if task is not None:
            marker = "done" if task.group(1) in "xX" else "todo"
            _strip_task(group, task.end())
        elif token.info:
            marker = token.info + token.markup
        else:
            marker = "•" if depth == 0 else "◦"
        source = "\n".join(self._lines[first:end]).rstrip("\n")
        inner = tuple(self.blocks(group[1:-1], depth + 1))
        return Block("item", source, self._base + first, marker=marker, children=inner)


def _task(group: Sequence[Token]) -> re.Match[str] | None:
    """The `[ ]` or `[x]` that makes a list item a task."""
    if len(group) < 3 or group[1].type != "paragraph_open":
        return None
    return _TASK.match(group[2].content)


def _strip_task(group: Sequence[Token], count: int) -> None:
    children = group[2].children
    if children and children[0].type == "text":
        children[0].content = children[0].content[count:]


def weight(block: Block) -> float:
    """About how many milliseconds it takes to show a block."""
    inner = sum(map(weight, block.children))
    if block.kind == "code":
        return 1.5 + 0.01 * block.code.count("\n")
    if block.children or block.kind in ("rule", "quote", "list", "item", "note"):
        return 0.3 + inner
    parts = block.html.count("<li") + block.html.count("<td") + block.html.count("<th")
    return 1.0 + 0.35 * parts + len(block.html) / 5_000


def _bearable(block: Block) -> Block:
    """The block, or one of its source where its list or table is too large to be laid out."""
    if block.kind in ("text", "code", "math") and "<li" not in block.html:
        return block
    if weight(block) <= _HEAVIEST:
        return block
    return Block("code", block.source, block.line, code=block.source + "\n", language="markdown")


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = make_parser()
    rules: Any = parser.renderer.rules  # type: ignore[attr-defined]
    rules["fence"] = rules["code_block"] = rules["html_block"] = _preformatted
    rules["footnote_label"] = lambda *_: ""  # it is a button beside the note
    rules["footnote_ref"] = _reference
    rules["td_open"] = rules["th_open"] = _cell
    rules["link_open"] = _link
    return parser


# The arguments are markdown_it's: tokens, index, options, environment.
def _preformatted(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    return f"<pre>{html.escape(tokens[index].content.rstrip())}</pre>\n"


def _link(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    """A link leads somewhere; its title is for a pointer that rests, which is not offered."""
    address = html.escape(str(tokens[index].attrs.get("href", "")))
    return f'<a href="{address}">' if address else "<a>"


def _reference(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    """A reference leads to its note."""
    label = html.escape(tokens[index].content)
    return f'<sup><a href="{NOTE}{label}">{label}</a></sup>'


def _cell(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    """A cell with the attribute that Qt knows instead of a style."""
    token = tokens[index]
    match = re.search(r"text-align:(left|center|right)", str(token.attrs.get("style", "")))
    align = match.group(1) if match else "left"
    return f'<{token.tag} align="{align}">'
