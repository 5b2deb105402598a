"""The one Markdown parser of what models write. No Qt; markdown_it is imported at the first use.

Raw HTML stays text, a picture is named and never fetched, and links lead to the web only.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qwen_desktop.export import mathrules

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token


def make_parser() -> MarkdownIt:
    """A parser with tables, strikethrough and formulas."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    mathrules.install(parser)
    parser.validateLink = web_address  # type: ignore[method-assign, assignment]
    renderer: Any = parser.renderer
    renderer.rules["image"] = _image
    renderer.rules["math_inline"] = _math
    renderer.rules["math_block"] = _math_block
    return parser


def normalized(source: str) -> str:
    """`source` with one kind of line end and no NUL, so that counting lines is exact."""
    return source.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


def web_address(address: str) -> bool:
    """Whether a link may be offered: http, https and mailto only.

    `file:`, `data:`, `javascript:` and network shares never reach a reader.
    """
    return re.match(r"(https?://|mailto:)[^\s]", address.strip(), re.IGNORECASE) is not None


# The arguments are markdown_it's: tokens, index, options, environment.
def _image(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    """A picture is named, never fetched."""
    token = tokens[index]
    address = html.escape(str(token.attrs.get("src", "")))
    return f"{html.escape(token.content)} ({address})" if token.content else address


def _math(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    return f"<code>{html.escape(tokens[index].content)}</code>"


def _math_block(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    return f"<pre>{html.escape(tokens[index].content)}</pre>\n"
