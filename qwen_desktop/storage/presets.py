"""The presets the user made, in one JSON file: [{"name": …, "values": {…}}, …]. No sqlite3."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from qwen_desktop.chat.presets import Preset, made_of
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known, Report
from qwen_desktop.storage import atomic

_log = logging.getLogger(__name__)


class PresetFile:
    """Reads the file once, when it is made. `problem` tells of one that could not be read at all.

    A damaged entry, or a second one of a name, is skipped; values are kept where they are fit.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.problem: Report | None = None
        self.presets: tuple[Preset, ...] = self._read()

    def save(self, presets: Iterable[Preset]) -> None:
        """Replace the file. Raises Known where the disk refuses."""
        entries = [{"name": preset.name, "values": dict(preset.values)} for preset in presets]
        atomic.write_json(self._file, entries)

    def _read(self) -> tuple[Preset, ...]:
        try:
            entries = atomic.read_json(self._file)
            if isinstance(entries, list):
                return self._good(entries)
            details = "not a JSON list"
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            details = f"{type(error).__name__}: {error}"
        self.problem = self._set_aside(details)
        return ()

    def _good(self, entries: list[object]) -> tuple[Preset, ...]:
        found: dict[str, Preset] = {}
        for number, entry in enumerate(entries):
            preset = _preset(entry)
            if preset is None or preset.name in found:
                _log.warning("entry %d of %s is left out", number, self._file.name)
            else:
                found[preset.name] = preset
        return tuple(found.values())

    def _set_aside(self, details: str) -> Report:
        """Keep a file that the next save would replace."""
        aside = self._file.with_name(f"{self._file.name}.damaged")
        try:
            self._file.replace(aside)
        except OSError as error:
            return Known(
                QT_TRANSLATE_NOOP("errors", "The presets in {file} cannot be read."),
                QT_TRANSLATE_NOOP("errors", "There are only the built-in ones for now."),
                details=f"{details}\n{type(error).__name__}: {error}",
                file=self._file,
            ).report()
        return Known(
            QT_TRANSLATE_NOOP("errors", "The presets could not be read."),
            QT_TRANSLATE_NOOP("errors", "The old ones are kept in {file}."),
            details=details,
            file=aside,
        ).report()


def _preset(entry: object) -> Preset | None:
    if not isinstance(entry, dict):
        return None
    name, values = entry.get("name"), entry.get("values")
    if not isinstance(name, str) or not isinstance(values, dict):
        return None
    try:
        return made_of(name, values)
    except ValueError:  # no name
        return None
