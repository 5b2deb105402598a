"""The prompt library, in one JSON file that can be handed on: [{"name": …, "text": …}, …].

The same form is exported and imported. No sqlite3.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from qwen_desktop.chat.prompts import MOST, SavedPrompt, by_name, made_of
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known, Report
from qwen_desktop.storage import atomic, trouble

_log = logging.getLogger(__name__)

MAX_BYTES = 64 * 2**20


class PromptFile:
    """Reads the file when `read` is called. `problem` tells of one that could not be read."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.problem: Report | None = None
        self._in_place: Known | None = None  # why there is a file that is not known and stays
        self._others: list[object] = []  # entries that are no prompts for us; they stay in the file

    def read(self) -> tuple[SavedPrompt, ...]:
        """What is kept. A damaged entry, or a second one of a name, is skipped, and stays."""
        try:
            found, self._others = _good(atomic.read_json(self._file))
            return found
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            self.problem = self._set_aside(f"{type(error).__name__}: {error}")
            return ()

    def save(self, prompts: Iterable[SavedPrompt]) -> None:
        """Replace the file; what `read` has skipped stands at its end.

        Raises Known where the disk refuses, or where `read` has left a file that it could not read.
        """
        if self._in_place is not None:
            raise self._in_place
        atomic.write_json(self._file, [*_entries(prompts), *self._others])

    def _set_aside(self, details: str) -> Report:
        """Keep a file that the next save would replace."""
        aside = self._file.with_name(f"{self._file.name}.damaged")
        try:
            self._file.replace(aside)
        except OSError as error:
            self._in_place = Known(
                QT_TRANSLATE_NOOP("errors", "The prompt library in {file} cannot be read."),
                details=f"{details}\n{type(error).__name__}: {error}",
                file=self._file,
            )
            return self._in_place.report()
        return Known(
            QT_TRANSLATE_NOOP("errors", "The prompt library could not be read."),
            QT_TRANSLATE_NOOP("errors", "The old one is kept in {file}."),
            details=details,
            file=aside,
        ).report()


def write(file: Path, prompts: Iterable[SavedPrompt]) -> None:
    """Write prompts to a file. Raises Known where the disk refuses."""
    atomic.write_json(file, _entries(prompts))


def _entries(prompts: Iterable[SavedPrompt]) -> list[object]:
    return [{"name": one.name, "text": one.text} for one in prompts]


def read_foreign(file: Path) -> tuple[SavedPrompt, ...]:
    """The prompts in a file that somebody hands in. Raises Known where it holds none."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError("too large")
        found, _ = _good(atomic.read_json(file))
    except OSError as error:
        raise trouble.from_os(error, file) from error
    except ValueError as error:
        raise _no_prompts(file, str(error)) from error
    if not found:
        raise _no_prompts(file, "no entry with a name and a text")
    return found


def _no_prompts(file: Path, details: str) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} holds no prompts."),
        QT_TRANSLATE_NOOP("errors", "A prompt file is a JSON list of names and texts."),
        details=details,
        file=file.name,
    )


def _good(entries: object) -> tuple[tuple[SavedPrompt, ...], list[object]]:
    """The prompts of a list, and what is left of it. Raises ValueError for what is no list."""
    if not isinstance(entries, list):
        raise ValueError("not a JSON list")
    found: dict[str, SavedPrompt] = {}
    others: list[object] = []
    for number, entry in enumerate(entries):
        prompt = _prompt(entry)
        if prompt is None or prompt.name in found or len(found) >= MOST:
            _log.warning("prompt %d of a file is left out", number)
            others.append(entry)
        else:
            found[prompt.name] = prompt
    return by_name(found.values()), others


def _prompt(entry: object) -> SavedPrompt | None:
    if not isinstance(entry, dict):
        return None
    name, text = entry.get("name"), entry.get("text")
    if not isinstance(name, str) or not isinstance(text, str):
        return None
    try:
        return made_of(name, text)
    except ValueError:
        return None
