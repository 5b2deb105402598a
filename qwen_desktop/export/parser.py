"""The one Markdown parser of what models write. No Qt; markdown_it is imported at the first use.

HTML stays text, a picture is named and never fetched, and links lead to the web only. What would
take long to read (brackets by the thousand, quotes within quotes without end) is taken as text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qwen_desktop.export import footnotes, mathrules
from qwen_desktop.export.growing import READ

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

_LONGEST = 20_000  # characters of one paragraph; longer ones are text without marks
_MARKS = "[*_`<&\\~$"
_MOST_MARKS = 12_000  # in one text; what comes after them is text without marks
_DEEPEST = 18  # levels of quotes and lists, two for a list; markdown_it drops what lies below 20
_LONGEST_TAG = 1_000  # characters
_BREAK = re.compile(r"<br[ \t]*/?>", re.IGNORECASE)


def make_parser() -> MarkdownIt:
    """A parser with tables, strikethrough, footnotes and formulas."""
    from markdown_it import MarkdownIt

    # `html` only lets HTML that stands by itself become a block, which is shown as code.
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.disable("html_inline")
    parser.inline.ruler.after("autolink", "tag", _tag)
    parser.block.ruler.before("table", "too_deep", _too_deep)
    parser.core.ruler.at("inline", _inline)
    mathrules.install(parser)
    footnotes.install(parser)
    parser.validateLink = web_address  # type: ignore[method-assign, assignment]
    renderer: Any = parser.renderer
    renderer.rules["image"] = _image
    renderer.rules["html_block"] = _html
    renderer.rules["math_inline"] = _math
    renderer.rules["math_block"] = _math_block
    renderer.rules[READ] = _read
    return parser


def normalized(source: str) -> str:
    """`source` with one kind of line end and no NUL, so that counting lines is exact."""
    return source.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


def web_address(address: str) -> bool:
    """Whether a link may be offered: http, https and mailto only.

    `file:`, `data:`, `javascript:` and network shares never reach a reader.
    """
    return re.match(r"(https?://|mailto:)[^\s]", address.strip(), re.IGNORECASE) is not None


# Rules of the parser


def _inline(state: StateCore) -> None:
    """Read what stands in each paragraph, as long as that stays quick."""
    from markdown_it.token import Token

    left = _MOST_MARKS
    growing = state.env.get("growing")  # a `Growing`, for a text that is read again and again
    for token in state.tokens:
        if token.type != "inline":
            continue
        content = token.content
        left -= sum(map(content.count, _MARKS))
        token.children = []
        if left < 0 or len(content) > _LONGEST:
            for number, line in enumerate(content.split("\n")):
                if number:
                    token.children.append(Token("softbreak", "br", 0))
                token.children.append(Token("text", "", 0, content=line))
        elif growing is not None and _ends_with(state, token):
            growing.read(state.md, content, state.env, token.children)
        else:
            state.md.inline.parse(content, state.md, state.env, token.children)


def _ends_with(state: StateCore, words: Token) -> bool:
    """Whether these are the words of a paragraph that ends the text and lies in nothing else."""
    last = state.tokens[-1]
    return last.type == "paragraph_close" and last.level == 0 and state.tokens[-2] is words


def _tag(state: StateInline, silent: bool) -> bool:
    """A tag is text, as it is; `<br>` alone is obeyed, as cells of tables know no other way."""
    begin = state.pos
    if state.src[begin] != "<":
        return False
    from markdown_it.common.html_re import HTML_TAG_RE

    match = HTML_TAG_RE.match(state.src[begin : min(state.posMax, begin + _LONGEST_TAG)])
    if match is None:
        return False
    if not silent:
        if _BREAK.fullmatch(match.group()):
            state.push("hardbreak", "br", 0)
        else:
            state.push("text", "", 0).content = match.group()
    state.pos = begin + match.end()
    return True


def _too_deep(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Take the rest of a quote or list as a paragraph where quotes and lists become too many."""
    if state.level < _DEEPEST or silent:
        return False
    line = start + 1
    while line < end and (state.isEmpty(line) or state.sCount[line] >= state.blkIndent):
        line += 1
    state.line = line
    state.push("paragraph_open", "p", 1).map = [start, line]
    token = state.push("inline", "", 0)
    token.content = state.getLines(start, line, state.blkIndent, False).strip()
    token.map = [start, line]
    token.children = []
    state.push("paragraph_close", "p", -1)
    return True


# How tokens are written. The arguments are markdown_it's: tokens, index, options, environment.


def _image(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    """A picture is named, never fetched."""
    token = tokens[index]
    address = html.escape(str(token.attrs.get("src", "")))
    name = "".join(_plain(child) for child in token.children or ())
    return f"{html.escape(name)} ({address})" if name else address


def _plain(token: Token) -> str:
    """What a token says without its looks."""
    if token.type in ("softbreak", "hardbreak"):
        return " "
    if token.type == "image":
        return "".join(_plain(child) for child in token.children or ())
    return token.content


def _html(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    return f"<pre>{html.escape(tokens[index].content)}</pre>\n"


def _math(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    return f'<code class="math">{html.escape(tokens[index].content)}</code>'


def _read(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    return tokens[index].content


def _math_block(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    return f"<pre>{html.escape(tokens[index].content)}</pre>\n"
