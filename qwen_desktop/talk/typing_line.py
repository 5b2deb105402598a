"""The line that is typed: several lines, history, completion. prompt_toolkit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import (
    CompleteEvent,
    Completer,
    Completion,
    PathCompleter,
)
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth

from qwen_desktop.chat.settings import Setting
from qwen_desktop.talk import finding
from qwen_desktop.talk.clean import clean, one_line, whole
from qwen_desktop.talk.commands import BY_NAME, COMMANDS
from qwen_desktop.talk.desk import SETTINGS, Desk
from qwen_desktop.talk.files import FORMATS

HISTORY = "terminal-history"  # file in the profile


class Words(Completer):
    """Completes commands and what they take: settings and values, files, chats, servers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._files = PathCompleter(expanduser=True)
        self._folders = PathCompleter(expanduser=True, only_directories=True)
        self._writable = PathCompleter(expanduser=True, file_filter=_is_format)

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """What may stand where the cursor is."""
        text = document.text_before_cursor
        if not text.startswith(":") or "\n" in text:
            return
        head, space, rest = text[1:].partition(" ")
        if not space:
            for command in COMMANDS:
                if command.name.startswith(head.lower()):
                    yield Completion(
                        command.name, -len(head), f":{command.name}", display_meta=command.help
                    )
            return
        command_name = BY_NAME[head.lower()].name if head.lower() in BY_NAME else ""
        yield from self._taken(command_name, rest, complete_event)

    def _taken(self, command: str, rest: str, event: CompleteEvent) -> Iterator[Completion]:
        word = rest.rsplit(" ", 1)[-1]
        if command == "conf":
            yield from _settings(word)
        elif command == "think":
            yield from _beginning(("on", "off"), rest)
        elif command == "seed":
            yield from _beginning(("auto",), rest)
        elif command == "server":
            names = (entry.connection.name for entry in self._desk.servers.entries)
            yield from _beginning((*names, "off"), rest)
        elif command == "detach":
            numbers = range(1, len(self._desk.files) + 1)
            yield from _beginning((str(number) for number in numbers), rest)
        elif command in ("attach", "save"):
            files = self._files if command == "attach" else self._writable
            yield from files.get_completions(Document(rest), event)
        elif command == "open":
            yield from self._chats(rest)
            if rest:
                yield from self._folders.get_completions(Document(rest), event)

    def _chats(self, begun: str) -> Iterator[Completion]:
        seen: set[str] = set()
        for row in finding.recent(self._desk.store):
            title = row.title
            # What is shown on the line must be what is found.
            if title in seen or title != one_line(title):
                continue
            if title.casefold().startswith(begun.casefold()):
                seen.add(title)
                yield Completion(title, -len(begun))


def _beginning(words: Iterable[str], begun: str) -> Iterator[Completion]:
    for one in words:
        if one == clean(one) and one.casefold().startswith(begun.casefold()):
            yield Completion(one, -len(begun))


def _settings(word: str) -> Iterator[Completion]:
    name, equals, value = word.partition("=")
    name = name.replace("-", "_")
    if not equals:
        for setting in SETTINGS.values():
            if setting.name.startswith(name):
                yield Completion(f"{setting.name}=", -len(name), display_meta=setting.help)
    elif name in SETTINGS:
        yield from _beginning(_values(SETTINGS[name]), value)


def _values(setting: Setting) -> list[str]:
    found = ["on", "off"] if setting.kind is bool else [key for key, _ in setting.choices]
    return [*found, "auto"] if setting.optional else found


def _is_format(name: str) -> bool:
    return Path(name).is_dir() or Path(name).suffix.lower() in FORMATS


class _History(FileHistory):
    """Lines that were no UTF-8 are kept without what was not."""

    def store_string(self, string: str) -> None:
        super().store_string(whole(string))


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    @keys.add("c-j")
    def _break(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def session(folder: Path, desk: Desk) -> PromptSession[str]:
    """What reads messages; what was typed is remembered in `folder`, for this user alone."""
    file = folder / HISTORY
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
    return PromptSession(
        history=_History(str(file)),
        completer=Words(desk),
        complete_while_typing=False,
        color_depth=ColorDepth.DEPTH_1_BIT if os.environ.get("NO_COLOR") else None,
        key_bindings=_keys(),
        multiline=True,
        prompt_continuation=lambda width, _number, _soft: "." * (width - 1) + " ",
    )
