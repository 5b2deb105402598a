"""Text that is attached to a message: its name, and the form in which the model reads it.

docs/prompts.md tells the form. Pure.
"""

from __future__ import annotations

import re

from qwen_desktop.chat.messages import Message, Part, PartKind

LONGEST_NAME = 120  # characters
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]+")
_TICKS = re.compile("`{3,}")


def attached(name: str, text: str) -> Part:
    """A file to attach; its name is one line."""
    return Part(PartKind.FILE, text, tidy_name(name))


def tidy_name(name: str) -> str:
    """`name` on one line, without what is not seen, its end kept where it is too long."""
    flat = " ".join(_UNSEEN.sub(" ", name).split())
    if len(flat) <= LONGEST_NAME:
        return flat
    half = LONGEST_NAME // 2
    return f"{flat[:half]}…{flat[1 - half :]}"


def fenced(text: str) -> str:
    """`text` between fences that are longer than any in it."""
    longest = max((len(ticks) for ticks in _TICKS.findall(text)), default=2)
    fence = "`" * (longest + 1)
    end = "" if text.endswith("\n") else "\n"
    return f"{fence}\n{text}{end}{fence}"


def read_as(file: Part) -> str:
    """A file as the model reads it: its name, and its text between fences."""
    return f"File: {tidy_name(file.name)}\n{fenced(file.text)}"


def content(message: Message) -> str:
    """What the model is told by a message: its files, then its text; never its reasoning."""
    files = message.files
    if not files:
        return message.text
    told = [read_as(file) for file in files]
    return "\n\n".join([*told, message.text] if message.text else told)


def title_of(message: Message) -> str:
    """What stands for a message where there is room for a line: its text, else its files."""
    if message.text.strip():
        return message.text
    return ", ".join(filter(None, (tidy_name(file.name) for file in message.files)))
