"""The settings dialog, made from the one table of settings. Every change applies at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QVBoxLayout, QWidget

from qwen_desktop.chat.settings import GROUPS, SETTINGS, Value
from qwen_desktop.ui.controls import Line
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.fields import Form
from qwen_desktop.ui.i18n import setting_text

if TYPE_CHECKING:
    from qwen_desktop.bridge.preferences import PreferencesModel


class SettingsDialog(Dialog):
    """Groups and rows in the order of the table."""

    def __init__(self, preferences: PreferencesModel, parent: QWidget | None = None) -> None:
        super().__init__("settingsDialog", self.tr("Settings"), parent)
        self.resize(640, 680)
        self._form = Form()
        self.fields = self._form.fields
        for group, title in GROUPS:
            rows = [(s, preferences.get(s.name)) for s in SETTINGS if s.group == group]
            self._form.add_group(setting_text(title), rows)
        buttons = self.close_box()
        buttons.setContentsMargins(24, 12, 24, 16)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(self._form, 1)
        outer.addWidget(Line())
        outer.addWidget(buttons)
        self._form.changed.connect(preferences.set)
        preferences.changed.connect(self._on_changed)
        self.finished.connect(self._form.finish)

    def _on_changed(self, name: str, value: Value) -> None:
        self.fields[name].set_value(value)
