"""The settings dialog, made from the one table of settings. Every change applies at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from qwen_desktop.bridge.spelling import LANGUAGE_SETTING, ON_SETTING
from qwen_desktop.chat.settings import GROUPS, SETTINGS, Value
from qwen_desktop.ui.controls import Button, Label, Line
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.fields import Form
from qwen_desktop.ui.i18n import setting_text

if TYPE_CHECKING:
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.bridge.spelling import Spelling


_ACROSS = 3  # buttons side by side


class SettingsDialog(Dialog):
    """Groups and rows in the order of the table."""

    def __init__(
        self,
        preferences: PreferencesModel,
        parent: QWidget | None = None,
        data: Sequence[QAction] = (),
        spelling: Spelling | None = None,
    ) -> None:
        """`data` are actions that are offered below the settings; `spelling` says what there is
        of dictionaries.
        """
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
        if data:
            outer.addLayout(self._data_row(data))
            outer.addWidget(Line())
        outer.addWidget(buttons)
        self._form.changed.connect(preferences.set)
        preferences.changed.connect(self._on_changed)
        self.finished.connect(self._form.finish)
        if spelling is not None:
            self._spelling = spelling
            spelling.spellers_changed.connect(self._show_spellers)
            self._show_spellers()
            spelling.look()

    @Slot()
    def _show_spellers(self) -> None:
        """Which languages can be checked, or why none can."""
        found = self._spelling.spellers
        self.fields[LANGUAGE_SETTING].set_languages(found.languages if found is not None else ())
        there = found is None or bool(found.library and found.languages)
        for name in (ON_SETTING, LANGUAGE_SETTING):
            self.fields[name].control.setEnabled(there)
        why = wrong = ""
        if found is not None and not found.library:
            why = self.tr("Not available: the library Hunspell is not installed on this system.")
        elif found is not None and not found.languages:
            why = self.tr("Not available: Hunspell has no dictionary on this system.")
        elif found is not None and not found.language:
            wrong = self.tr("There is no dictionary for this language.")
        self._form.explain(ON_SETTING, why)
        self._form.explain(LANGUAGE_SETTING, wrong)

    def _data_row(self, actions: Sequence[QAction]) -> QGridLayout:
        row = QGridLayout()
        row.setContentsMargins(24, 10, 24, 10)
        row.setSpacing(8)
        row.addWidget(Label(self.tr("More"), 14, bold=True), 0, 0)
        row.setColumnStretch(0, 1)
        for number, action in enumerate(actions):
            button = Button(action.text(), height=30)
            button.setObjectName(f"data_{action.objectName()}")
            button.setAccessibleName(action.text())
            button.clicked.connect(lambda _=False, one=action: self._leave_for(one))
            row.addWidget(button, number // _ACROSS, 1 + number % _ACROSS)
        return row

    def _leave_for(self, action: QAction) -> None:
        """It has a dialog of its own."""
        self.accept()
        action.trigger()

    def _on_changed(self, name: str, value: Value) -> None:
        self.fields[name].set_value(value)
