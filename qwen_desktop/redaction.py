"""What reports and the log leave out: the user's name in paths, lines of data rather than a cause,
words of errors that may quote what was written.
"""

from __future__ import annotations

from pathlib import Path

LONGEST = 300  # characters of a line
# Their words come from interpreters and libraries and tell of types, shapes and names in code.
_WORDS_TELL_NO_VALUES = (
    ArithmeticError,
    AttributeError,
    ImportError,
    IndexError,
    MemoryError,
    NameError,
    RuntimeError,
    TypeError,
)
LEFT_OUT = "(its words are left out, as they may quote what was written)"


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


def described(error: BaseException) -> str:
    """Where an error came from and of what kind it is, without any value. One block of lines."""
    import traceback

    blocks: list[str] = []
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        frames = "".join(traceback.format_list(traceback.extract_tb(at.__traceback__)))
        blocks.append(f"Traceback (most recent call last):\n{frames}{_kind(at)}\n")
        if at.__cause__ is not None:
            at, between = at.__cause__, "Caused the error above:\n\n"
        elif at.__context__ is not None and not at.__suppress_context__:
            at, between = at.__context__, "The error above came while this one was handled:\n\n"
        else:
            break
        blocks.append(between)
    return without_private("\n".join(blocks)) + "\n"


def _kind(error: BaseException) -> str:
    """The class of an error, and its words where they can hold no value."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else _full_name(kind)
    if isinstance(error, OSError) and error.strerror:  # without the name of the file
        return f"{name}: [Errno {error.errno}] {error.strerror}"
    words = str(error)
    if isinstance(error, _WORDS_TELL_NO_VALUES) or not words:
        return f"{name}: {words}" if words else name
    return f"{name} {LEFT_OUT}"


def _full_name(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
