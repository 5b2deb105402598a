"""File names made of titles, good on every system. Standard library only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

LONGEST = 80  # characters of a title
_BYTES = 180  # of UTF-8; most file systems take 255 for the whole name
# What Windows refuses in names, what separates folders anywhere.
_REFUSED = re.compile(r'[<>:"/\\|?*]')
_RESERVED = re.compile(
    r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?", re.IGNORECASE
)
# Controls, halves of characters and marks that turn the reading direction of what follows, so that
# "gpj.exe" reads "exe.jpg".
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def safe_name(title: str, fallback: str) -> str:
    """A file name without an extension, made of `title`; of `fallback` where nothing is left."""
    found = _safe(title) or _safe(fallback) or "chat"
    return f"_{found}" if _RESERVED.fullmatch(found) else found


def _safe(title: str) -> str:
    text = unicodedata.normalize("NFC", title[: LONGEST * 8])
    text = "".join(" " if unicodedata.category(c) in _UNSEEN else c for c in text)
    text = " ".join(_REFUSED.sub("-", text).split())[:LONGEST]
    while len(text.encode()) > _BYTES:
        text = text[:-1]
    # Windows drops dots and spaces at the end; a dot in front hides a file elsewhere.
    return text.strip(" .").lstrip("-~ .")


def unique_name(name: str, extension: str, is_taken: Callable[[str], bool]) -> str:
    """`name` with its extension, and with a number where that is taken."""
    number = 1
    while True:
        found = f"{name}{extension}" if number == 1 else f"{name} ({number}){extension}"
        if not is_taken(found):
            return found
        number += 1
