"""What reports leave out: the user's name in paths, and lines of data rather than a cause."""

from __future__ import annotations

from pathlib import Path

LONGEST = 300  # characters of a line


def without_private(text: str) -> str:
    """`text` without the name of the user's home, and without the rest of very long lines."""
    text = without_home(text)
    return "\n".join(
        line if len(line) <= LONGEST else f"{line[:LONGEST]}…" for line in text.splitlines()
    )


def without_home(text: str) -> str:
    """`text` with "~" in place of the user's home folder."""
    try:
        home = str(Path.home())
    except RuntimeError:  # a system that knows none
        return text
    if len(home) > 1:
        for written in {home, home.replace("\\", "/"), home.replace("\\", "\\\\")}:
            text = text.replace(written, "~")
    return text
