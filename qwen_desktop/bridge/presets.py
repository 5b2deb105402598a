"""The presets, live: read at once, saved off the main thread. QtCore only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from PySide6.QtCore import QObject, Signal

from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.chat.presets import RECOMMENDED, Preset, made_of
from qwen_desktop.chat.settings import Value
from qwen_desktop.storage.presets import PresetFile


class Presets(QObject):
    """Main-thread owner of the presets. Signal: `changed()`. Names are unique and not empty."""

    changed = Signal()

    def __init__(self, file: PresetFile, files: FileJobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._file = file
        self._files = files
        self._own = _by_name(file.presets)

    @property
    def entries(self) -> tuple[Preset, ...]:
        """The built-in one, then the user's by name."""
        return (RECOMMENDED, *self._own)

    def save(self, name: str, values: Mapping[str, Value]) -> None:
        """Keep what of `values` belongs into a preset, in place of one of this name.

        White space in `name` is tidied. Raises ValueError where nothing is left of it.
        """
        preset = made_of(name, values)
        self._set((*self._without(preset.name), preset))

    def delete(self, name: str) -> None:
        """Forget a preset; the built-in one stays."""
        self._set(self._without(name))

    def _without(self, name: str) -> tuple[Preset, ...]:
        return tuple(preset for preset in self._own if preset.name != name)

    def _set(self, presets: Iterable[Preset]) -> None:
        presets = _by_name(presets)
        if presets == self._own:
            return
        self._own = presets
        self._files.submit("presets", lambda: self._file.save(presets))
        self.changed.emit()


def _by_name(presets: Iterable[Preset]) -> tuple[Preset, ...]:
    return tuple(sorted(presets, key=lambda preset: (preset.name.casefold(), preset.name)))
