"""Words that a user has added to the dictionary: a text file of the profile, one to a line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qwen_desktop.chat.spelling import LONGEST
from qwen_desktop.storage import atomic

MOST = 100_000  # words


def read(file: Path) -> frozenset[str]:
    """The words of a file; none where there is no file. Raises OSError."""
    try:
        text = file.read_bytes().decode("utf-8-sig", "replace")
    except FileNotFoundError:
        return frozenset()
    lines = (line.strip() for line in text.splitlines()[:MOST])
    return frozenset(line for line in lines if 0 < len(line) <= LONGEST)


def save(file: Path, words: Iterable[str]) -> None:
    """Replace the file. Raises Known where the disk refuses."""
    lines = sorted(words, key=lambda word: (word.casefold(), word))
    atomic.write_bytes(file, "".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
