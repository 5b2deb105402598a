"""The settings, live: read at once, saved off the main thread. QtCore only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.chat.settings import BY_NAME, Value
from qwen_desktop.storage.preferences import Preferences

if TYPE_CHECKING:
    from qwen_desktop.chat.model import EngineOptions


class PreferencesModel(QObject):
    """Main-thread owner of the settings and of the keys that a user chose.

    Signals: `changed(name, value)`, `shortcuts_changed()`.

    `overrides` hold for this run and are not saved.
    """

    changed = Signal(str, object)
    shortcuts_changed = Signal()

    def __init__(
        self,
        preferences: Preferences,
        files: FileJobs,
        overrides: Mapping[str, Value],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._preferences = preferences
        self._files = files
        self._values: dict[str, Value] = {**preferences.values, **overrides}
        self._shortcuts: dict[str, tuple[str, ...]] = preferences.shortcuts

    @property
    def values(self) -> Mapping[str, Value]:
        """Every setting by name."""
        return self._values

    def get(self, name: str) -> Value:
        """The value of one setting."""
        return self._values[name]

    def set(self, name: str, value: Value) -> None:
        """Change a setting and save it. Raises ValueError for a value the table refuses."""
        if not BY_NAME[name].accepts(value):
            raise ValueError(f"{name} cannot be {value!r}")
        if self._values[name] == value and type(self._values[name]) is type(value):
            return
        self._values[name] = value
        self._files.submit(f"setting {name}", lambda: self._preferences.set(name, value))
        self.changed.emit(name, value)

    @property
    def shortcuts(self) -> Mapping[str, tuple[str, ...]]:
        """The keys that a user chose, by action."""
        return self._shortcuts

    def set_shortcuts(self, shortcuts: Mapping[str, tuple[str, ...]]) -> None:
        """Keep other keys, and save them."""
        if shortcuts != self._shortcuts:
            kept = self._shortcuts = dict(shortcuts)
            self._files.submit("shortcuts", lambda: self._preferences.set_shortcuts(kept))
            self.shortcuts_changed.emit()

    def engine_options(self, kv_folder: Path, code_folder: Path) -> EngineOptions:
        """What the engine may keep of conversations at rest, and of compiled code, and where."""
        from qwen_desktop.chat.model import EngineOptions  # not needed at the first paint

        memory, disk = _bytes(self._values["kv_memory"]), _bytes(self._values["kv_disk"])
        draft = str(self._values["draft_model"] or "").strip()
        return EngineOptions(
            kv_memory=memory,
            kv_disk=disk or 0,
            kv_folder=kv_folder,
            code_folder=code_folder if self._values["compiled_decode"] else None,
            draft_folder=Path(draft).expanduser() if draft else None,
        )


def _bytes(gigabytes: Value) -> int | None:
    """GiB of a setting as bytes; None where it is empty."""
    return int(gigabytes * 2**30) if isinstance(gigabytes, (int, float)) else None
