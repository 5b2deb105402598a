"""A conversation as plain text: what was said, as it was written, under who said it."""

from __future__ import annotations

from collections.abc import Iterator

from qwen_desktop.chat.attached import fenced
from qwen_desktop.chat.exporting import ExportOptions
from qwen_desktop.chat.record import Record
from qwen_desktop.export.turns import Turn, heading, turns
from qwen_desktop.export.words import Words


def rendered(record: Record, options: ExportOptions, words: Words) -> Iterator[str]:
    """The document, a message at a time."""
    top = heading(record, words)
    yield "\n".join((top.title, *top.facts, "=" * 72)) + "\n\n"
    for turn in turns(record, options, words):
        yield message(turn, words) + "\n\n"


def message(turn: Turn, words: Words) -> str:
    """One message with its heading."""
    about = " · ".join(filter(None, (turn.version, *turn.facts)))
    lines = [f"{turn.heading}:", *([about] if about else []), ""]
    if turn.reasoning.strip():
        quoted = turn.reasoning.strip("\n").replace("\n", "\n| ")
        lines += [f"| {words.reasoning}", "|", f"| {quoted}", ""]
    for file in turn.files:
        lines += [file.heading, fenced(file.text), ""]
    if turn.text.strip():
        lines.append(turn.text.strip("\n"))
    if turn.note:
        lines.append(f"[{turn.note}]")
    return "\n".join(lines).rstrip("\n")
