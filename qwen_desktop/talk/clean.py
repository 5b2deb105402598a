"""Text that can command no terminal: a model may write anything."""

from __future__ import annotations

import re
import unicodedata

REPLACED = "\ufffd"
_HALVES = re.compile("[\ud800-\udfff]")
# They turn the order of what follows round, up to the end of the line and beyond.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: str) -> str:
    """`text` with all control characters but ends of lines and tabs replaced."""
    return "".join(
        REPLACED
        if (c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cs")) or c in _TURNING
        else c
        for c in text
    )


def whole(text: str) -> str:
    """`text` with what was no UTF-8 replaced: neither a file nor a model takes half a pair."""
    return _HALVES.sub(REPLACED, text)


def one_line(text: str) -> str:
    """The same on one line."""
    return clean(" ".join(text.split()))
