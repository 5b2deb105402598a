"""The words of a message as they will be shown, without widgets: to count what is found. No Qt."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from qwen_desktop.chat.matching import Matcher
from qwen_desktop.chat.messages import Message, Role
from qwen_desktop.ui.timeline.markdown import Block, normalized, parse

_LINE_ENDS = re.compile(r"<(?:br|/p|/li|/t[dh]|/h\d|/pre|/blockquote)\b[^>]*>")
_TAGS = re.compile(r"<[^>]*>")
_MARKS = re.compile(r"[*_~`\\]")  # what Markdown takes out of the middle of words


def count_in_text(matcher: Matcher, message: Message) -> int:
    """How often something is found in what a message says, but for its files."""
    text = normalized(message.text)
    if message.role is Role.USER:
        return len(matcher.spans(text))
    return _count(matcher, text)


def count_in_reasoning(matcher: Matcher, message: Message) -> int:
    """How often something is found in the reasoning of a message."""
    return _count(matcher, normalized(message.reasoning))


def _count(matcher: Matcher, source: str) -> int:
    """The same in rendered Markdown. Most texts have nothing in their source already."""
    if not source:
        return 0
    if not matcher.spans(source) and not matcher.spans(html.unescape(_MARKS.sub("", source))):
        return 0
    return sum(len(matcher.spans(text)) for text in texts(parse(source)))


def texts(blocks: Sequence[Block]) -> Iterator[str]:
    """The text of each widget that blocks become, from the top; of formulas their source."""
    for block in blocks:
        if block.children:
            yield from texts(block.children)
        elif block.kind == "code":
            yield block.code.removesuffix("\n")
        elif block.kind == "math":
            yield block.code
        elif block.html:
            yield html.unescape(_TAGS.sub("", _LINE_ENDS.sub("\n", block.html)))
