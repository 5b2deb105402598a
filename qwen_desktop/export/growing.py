"""The paragraph that a growing text ends with: what was read of it is not read again. No Qt.

Formulas by the hundred take milliseconds to be found. After one of them, where nothing before it
is still open, whatever follows changes nothing of what was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

READ = "read_before"  # type of the token that stands for what was read
_SHORTEST = 400  # characters of a paragraph with which it is worth while
_WHOLE = frozenset(
    {"math_inline", "code_inline", "softbreak", "em_open", "em_close", "strong_open"}
    | {"strong_close", "s_open", "s_close"}
)
# What may still become something else, together with what follows, where it is shown as it is.
_OPEN = frozenset("*_`[<&\\~$!")


class Growing:
    """Reads one paragraph after another, each of them from where it is certain on."""

    def __init__(self) -> None:
        self._source = ""
        self._html = ""

    def read(self, parser: MarkdownIt, source: str, environment: Any, tokens: list[Token]) -> None:
        """Add the tokens of `source`, a paragraph that begins as the one before or is another."""
        from markdown_it.token import Token

        if not source.startswith(self._source):
            self._source = self._html = ""
        begin = len(self._source)
        if begin:
            tokens.append(Token(READ, "", 0, content=self._html))
        fresh: list[Token] = []
        parser.inline.parse(source[begin:], parser, environment, fresh)
        tokens += fresh
        if len(source) < _SHORTEST:
            return
        count, end = _certain(fresh, source[begin:])
        if count:
            self._source = source[: begin + end]
            self._html += parser.renderer.render(fresh[:count], parser.options, environment)


def _certain(tokens: Sequence[Token], source: str) -> tuple[int, int]:
    """How many of the first tokens are certain, and how many characters these are."""
    count = end = depth = 0
    for number, token in enumerate(tokens):
        if token.type == "text":
            if not _OPEN.isdisjoint(token.content):
                break
        elif token.type not in _WHOLE:
            break
        depth += token.nesting
        # With a space after it, what follows begins as a paragraph does.
        if token.type == "math_inline" and not depth and source[token.meta["end"] :][:1].isspace():
            count, end = number + 1, token.meta["end"]
    return count, end
