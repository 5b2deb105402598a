"""The line that is typed: several lines, history, completion. prompt_toolkit."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from qwen_desktop.chat.settings import Setting
from qwen_desktop.talk.commands import BY_NAME, COMMANDS
from qwen_desktop.talk.desk import SETTINGS

HISTORY = "terminal-history"  # file in the profile


class Words(Completer):
    """Completes commands, names of settings and their values."""

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
                if command.name.startswith(head):
                    yield Completion(
                        command.name, -len(head), f":{command.name}", display_meta=command.help
                    )
            return
        command_name = BY_NAME[head].name if head in BY_NAME else ""
        word = rest.rsplit(" ", 1)[-1]
        if command_name == "conf":
            yield from _settings(word)
        elif command_name == "think":
            yield from (
                Completion(one, -len(word)) for one in ("on", "off") if one.startswith(word)
            )


def _settings(word: str) -> Iterable[Completion]:
    name, equals, value = word.partition("=")
    if not equals:
        for setting in SETTINGS.values():
            if setting.name.startswith(name):
                yield Completion(f"{setting.name}=", -len(name), display_meta=setting.help)
    elif name in SETTINGS:
        for one in _values(SETTINGS[name]):
            if one.startswith(value):
                yield Completion(one, -len(value))


def _values(setting: Setting) -> list[str]:
    found = ["on", "off"] if setting.kind is bool else [key for key, _ in setting.choices]
    return [*found, "auto"] if setting.optional else found


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


def session(folder: Path) -> PromptSession[str]:
    """What reads messages; what was typed is remembered in `folder`, for this user alone."""
    file = folder / HISTORY
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
    return PromptSession(
        history=FileHistory(str(file)),
        completer=Words(),
        complete_while_typing=False,
        key_bindings=_keys(),
        multiline=True,
        prompt_continuation=lambda width, _number, _soft: "." * (width - 1) + " ",
    )
