"""A file name for code, by its language. No Qt; Pygments is imported at the first use."""

from __future__ import annotations

import re

from qwen_desktop.ui.timeline.highlight import find_lexer

_STEM = "code"
_EXTENSION = re.compile(r"\*(\.[A-Za-z0-9]{1,10})")
# Where the first name that Pygments knows is not the usual one.
_USUAL = {"r": "code.R", "make": "Makefile", "makefile": "Makefile", "cmake": "CMakeLists.txt"}


def suggested_name(language: str) -> str:
    """What a file of that language is usually called; `code.txt` where it is not known."""
    usual = _USUAL.get(language.lower())
    if usual is not None:
        return usual
    lexer = find_lexer(language)
    for pattern in lexer.filenames if lexer is not None else ():
        extension = _EXTENSION.fullmatch(pattern)
        if extension is not None:
            return _STEM + extension.group(1)
        if re.fullmatch(r"[A-Za-z0-9.]+", pattern):
            return pattern  # Dockerfile
    return f"{_STEM}.txt"
