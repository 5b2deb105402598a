"""What was said as HTML, for a browser or for Qt's text documents. No Qt.

Everything is escaped; no picture, no script, no address but of the web can come of it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from qwen_desktop.export.parser import make_parser, normalized

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from pygments.lexer import Lexer

LONGEST = 200_000  # characters of Markdown that are parsed; longer text is shown as written
LONGEST_CODE = 100_000  # characters of code that get colours


def plain(text: str) -> str:
    """Text as it was written, its lines and spaces kept."""
    return f'<div class="plain" dir="auto">{html.escape(text)}</div>'


def markdown(source: str) -> str:
    """Markdown for a browser; colours of code are classes."""
    if len(source) > LONGEST:
        return plain(source)
    return str(_browser().render(normalized(source)))


@lru_cache(maxsize=1)
def _browser() -> MarkdownIt:
    parser = make_parser()
    rules: Any = parser.renderer.rules  # type: ignore[attr-defined]
    rules["fence"] = rules["code_block"] = _code
    rules["html_block"] = _html
    rules["td_open"] = rules["th_open"] = _cell
    rules["link_open"] = _link
    return parser


# The arguments are markdown_it's: tokens, index, options, environment.
def _code(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    token = tokens[index]
    return _code_block(token.content, token.info.split()[0] if token.info.split() else "")


def _html(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    return _code_block(tokens[index].content, "html")


def _code_block(code: str, language: str) -> str:
    label = f'<div class="language">{html.escape(language)}</div>' if language else ""
    coloured_code = coloured(code.removesuffix("\n"), language)
    return f'<div class="code">{label}<pre dir="ltr"><code>{coloured_code}</code></pre></div>\n'


def coloured(code: str, language: str) -> str:
    """Code as HTML, with the classes of Pygments where the language is known."""
    lexer = find_lexer(language) if len(code) <= LONGEST_CODE else None
    if lexer is None:
        return html.escape(code)
    from pygments import highlight
    from pygments.formatters import HtmlFormatter

    return str(highlight(code, lexer, HtmlFormatter(nowrap=True))).removesuffix("\n")


@lru_cache(maxsize=1)
def _aliases() -> frozenset[str]:
    """The names of Pygments' own lexers: asking for others would search all installed packages."""
    from pygments.lexers import get_all_lexers

    return frozenset(alias for lexer in get_all_lexers(plugins=False) for alias in lexer[1])


@lru_cache(maxsize=64)
def find_lexer(language: str) -> Lexer | None:
    """The lexer for a fence's language, None where there is none."""
    name = language.lower()
    if not name or name not in _aliases():
        return None
    from pygments.lexers import get_lexer_by_name

    # Nothing of the code is to be lost: lexers drop line feeds at its ends by themselves.
    return get_lexer_by_name(name, stripnl=False, ensurenl=False)


def _cell(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    token = tokens[index]
    match = re.search(r"text-align:(left|center|right)", str(token.attrs.get("style", "")))
    return f'<{token.tag} class="{match.group(1)}">' if match else f"<{token.tag}>"


def _link(tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    attributes = tokens[index].attrs
    address = html.escape(str(attributes.get("href", "")))
    if not address:
        return "<a>"  # [words]()
    title = html.escape(str(attributes.get("title", "")))
    shown = f' title="{title}"' if title else ""
    return f'<a href="{address}"{shown} rel="noopener noreferrer nofollow">'
