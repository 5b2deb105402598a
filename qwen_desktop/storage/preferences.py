"""The settings the user changed, in one JSON file. Read before the first paint: json only."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from qwen_desktop.chat.settings import BY_NAME, SETTINGS, Setting, Value
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known, Report
from qwen_desktop.storage import atomic

_log = logging.getLogger(__name__)


SHORTCUTS = "shortcuts"  # entry of the file: {action: [keys, …]}


class Preferences:
    """The value of every setting: the user's where the file has a good one, else the default.

    Entries of the file that this version does not know, or whose values it does not accept,
    stay in it. `problem` tells of a file that could not be read at all.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.problem: Report | None = None
        self._entries: dict[str, object] = self._read()
        self._values = {setting.name: self._value_of(setting) for setting in SETTINGS}

    @property
    def values(self) -> Mapping[str, Value]:
        """All settings by name; shows later changes too."""
        return MappingProxyType(self._values)

    def get(self, name: str) -> Value:
        """The value of one setting. Raises KeyError for an unknown name."""
        return self._values[name]

    def set(self, name: str, value: Value) -> None:
        """Change one setting and save the file.

        Raises ValueError where the setting does not accept the value (nothing changes), and
        Known where saving fails: the value then holds until the application ends.
        """
        if not BY_NAME[name].accepts(value):
            raise ValueError(f"{name} cannot be {value!r}")
        self._values[name] = value
        self._entries[name] = value
        atomic.write_json(self._file, self._entries)

    @property
    def shortcuts(self) -> dict[str, tuple[str, ...]]:
        """The keys a user chose, by action; entries that are no lists of texts are left out."""
        entries = self._entries.get(SHORTCUTS, {})
        if not isinstance(entries, dict):
            _log.warning("the shortcuts in %s are no object", self._file.name)
            return {}
        found = {}
        for action, keys in entries.items():
            if isinstance(keys, list) and all(isinstance(key, str) for key in keys):
                found[action] = tuple(keys)
            else:
                _log.warning("shortcut of %r in %s has a bad value", action, self._file.name)
        return found

    def set_shortcuts(self, shortcuts: Mapping[str, tuple[str, ...]]) -> None:
        """Keep the keys a user chose and save the file. Raises Known where the disk refuses."""
        self._entries[SHORTCUTS] = {action: list(keys) for action, keys in shortcuts.items()}
        atomic.write_json(self._file, self._entries)

    def _value_of(self, setting: Setting) -> Value:
        value = self._entries.get(setting.name, setting.default)
        if setting.accepts(value):
            return value  # type: ignore[return-value]  # as accepts() has found
        _log.warning("setting %s has a bad value in %s", setting.name, self._file.name)
        return setting.default

    def _read(self) -> dict[str, object]:
        try:
            entries = atomic.read_json(self._file)
            if isinstance(entries, dict):
                return entries
            details = "not a JSON object"
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            details = f"{type(error).__name__}: {error}"
        self.problem = self._set_aside(details)
        return {}

    def _set_aside(self, details: str) -> Report:
        aside = self._file.with_name(f"{self._file.name}.damaged")
        try:
            self._file.replace(aside)
        except OSError as error:
            return Known(
                QT_TRANSLATE_NOOP("errors", "The settings in {file} cannot be read."),
                QT_TRANSLATE_NOOP("errors", "All settings have their first values for now."),
                details=f"{details}\n{type(error).__name__}: {error}",
                file=self._file,
            ).report()
        return Known(
            QT_TRANSLATE_NOOP("errors", "The settings could not be read and start afresh."),
            QT_TRANSLATE_NOOP("errors", "The old ones are kept in {file}."),
            details=details,
            file=aside,
        ).report()
