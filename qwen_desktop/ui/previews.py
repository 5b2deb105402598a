"""A preview as it is read: without the marks of Markdown. Standard library only."""

from __future__ import annotations

import re
from functools import lru_cache

# Marks of Markdown as they stand in a preview, where lines have become one line.
_LINK = re.compile(r"!?\[([^\]\[]*)\]\([^()\s]*\)")
_STRONG = re.compile(r"(?<![A-Za-z0-9])(\*\*|~~)(?=\S)(.+?)(?<=\S)\1")  # not x**2 + y**2
_MARKS = re.compile(
    r"```+\w*|`"  # code
    r"|(?<!\w)(?:\*\*|~~)(?=\w)"  # its other end is cut off
    r"|(?<!\S)(?:#{1,6}|-{3,}|\|?(?::?-+:?\|)+(?::?-+:?)?|\|)(?!\S)"  # heading, rule, table
    r"|^[-*+>](?!\S)"  # list, quote
)


@lru_cache(maxsize=1024)
def without_marks(preview: str) -> str:
    """`preview` without the marks of Markdown, for reading. Only for display."""
    plain = _STRONG.sub(r"\2", _LINK.sub(r"\1", preview))
    return " ".join(_MARKS.sub("", plain).split())
