"""The commands of the terminal: their names, what they take, and how a typed line is read. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A command by its long name, the other names it has, what it takes and what it does."""

    name: str
    short: tuple[str, ...]
    takes: str
    help: str


COMMANDS = (
    Command("help", ("h",), "", "Show this list."),
    Command("exit", ("quit", "q"), "", "Leave."),
    Command("clear", ("cl",), "", "Clear the screen."),
    Command("clear-his", ("clh",), "", "Begin a new chat; this one stays in the list."),
    Command("history", ("his",), "", "Show what was said."),
    Command("seed", (), "[N]", "Show the seed of the draws, or set it; auto for a new one each."),
    Command("conf", (), "[NAME=VALUE …]", "Show the settings of this chat, or change some."),
    Command("reset-conf", (), "", "Take the general settings again."),
    Command("open", (), "[N | WORDS | DIR]", "List or search chats, open one or a checkpoint."),
    Command("attach", (), "[FILE]", "Send a text file or a PDF along, or list what is attached."),
    Command("detach", (), "[N]", "Send file N not along, or none of them."),
    Command(
        "server", (), "[NAME [MODEL] | off]", "Show or choose the server that answers this chat."
    ),
    Command("save", (), "FILE", "Write this chat into a file: .md, .html, .txt or .json."),
    Command("regen", (), "", "Answer the last question anew; the old answer stays as a version."),
    Command("edit", (), "[TEXT]", "Say the last question otherwise; the old one stays."),
    Command("think", (), "on|off", "Whether the model thinks before it answers."),
    Command("memory", (), "", "Show where the memory went, and how far this chat can go."),
    Command("prompt", (), "", "Show the exact tokens that the next message begins with."),
)
BY_NAME = {name: one for one in COMMANDS for name in (one.name, *one.short)}


@dataclass(frozen=True)
class Line:
    """A typed command; `name` is the long one, or as typed where there is no such command."""

    name: str
    argument: str
    known: bool


def read(text: str) -> Line | None:
    """The command in what was typed; None where it is a message."""
    stripped = text.strip()
    if not stripped.startswith(":") or "\n" in stripped.split(None, 1)[0]:
        return None
    words = stripped[1:].split(None, 1)
    if not words or not words[0][0].isalpha():  # ":-)" and "::" are said, not asked for
        return None
    name = words[0].lower()
    found = BY_NAME.get(name)
    argument = words[1].strip() if len(words) > 1 else ""
    return Line(found.name if found else name, argument, found is not None)
