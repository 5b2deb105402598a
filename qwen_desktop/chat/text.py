"""Text as UTF-8 can hold it. Standard library only."""

from __future__ import annotations


def whole(text: str) -> str:
    """`text` with halves of characters joined, lone ones replaced.

    A paste or a terminal may leave them in it; neither files nor tokenizers take them.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
