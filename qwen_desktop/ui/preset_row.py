"""Choosing, saving and deleting presets: the row at the top of the chat settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.chat.presets import RECOMMENDED, Preset
from qwen_desktop.chat.settings import Value
from qwen_desktop.ui.controls import Label

if TYPE_CHECKING:
    from qwen_desktop.bridge.presets import Presets

LONGEST_NAME = 60  # characters


class PresetRow(QWidget):
    """A list of presets with Save as… and Delete. `picked(Preset)` when one should be used.

    Shows which preset the settings are like; "Own values" where it is none.
    """

    picked = Signal(object)

    def __init__(self, presets: Presets, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._presets = presets
        self._values: Mapping[str, Value] = {}
        self._build_choice()
        self._build_naming()
        self.pages = QStackedWidget()
        self.pages.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for page in (self._choice, self._naming):
            self.pages.addWidget(page)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.pages)
        self.note = Label("", 12, dim=True, wrap=True)
        column.addWidget(self.note)
        presets.changed.connect(self._fill)
        self._fill()

    def _build_choice(self) -> None:
        self._choice = QWidget()
        self.box = QComboBox()
        self.box.setObjectName("preset")
        self.box.setAccessibleName(self.tr("Preset"))
        self.box.setMinimumHeight(30)
        self.box.activated.connect(self._on_activated)
        self.save_as = self._button("savePreset", self.tr("Save as…"), self.tr("Save as preset"))
        self.save_as.clicked.connect(self._name_it)
        self.delete = self._button("deletePreset", self.tr("Delete"), self.tr("Delete preset"))
        self.delete.clicked.connect(self._delete)
        row = QHBoxLayout(self._choice)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.box, 1)
        row.addWidget(self.save_as)
        row.addWidget(self.delete)

    def _build_naming(self) -> None:
        self._naming = QWidget()
        self.name = QLineEdit()
        self.name.setObjectName("presetName")
        self.name.setAccessibleName(self.tr("Name of the preset"))
        self.name.setPlaceholderText(self.tr("Name of the preset"))
        self.name.setMaxLength(LONGEST_NAME)
        self.name.setMinimumHeight(30)
        self.name.textChanged.connect(self._on_named)
        self.name.installEventFilter(self)
        self.save = self._button("confirmPreset", self.tr("Save"), self.tr("Save preset"))
        self.save.clicked.connect(self._save)
        cancel = self._button("cancelPreset", self.tr("Cancel"), self.tr("Cancel saving"))
        cancel.clicked.connect(self._stop_naming)
        row = QHBoxLayout(self._naming)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.name, 1)
        row.addWidget(self.save)
        row.addWidget(cancel)

    def _button(self, name: str, text: str, spoken: str) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.setAccessibleName(spoken)
        button.setAutoDefault(False)
        button.setMinimumHeight(30)
        return button

    # -- what is shown ---------------------------------------------------------------------

    def set_values(self, values: Mapping[str, Value]) -> None:
        """The settings in effect."""
        self._values = values
        self._show()

    def _fill(self) -> None:
        chosen = self.box.blockSignals(True)
        self.box.clear()
        for preset in self._presets.entries:
            self.box.addItem(self._text(preset), preset.name)
        self.box.blockSignals(chosen)
        self._show()

    def _text(self, preset: Preset) -> str:
        return preset.name or self.tr("Recommended by Qwen")

    def _preset(self) -> Preset | None:
        """The preset that the settings are like, the one shown first of several."""
        like = [preset for preset in self._presets.entries if preset.is_like(self._values)]
        shown = [preset for preset in like if preset.name == self.box.currentData()]
        return next(iter(shown or like), None)

    def _show(self) -> None:
        preset = self._preset()
        self.box.setPlaceholderText(self.tr("Own values"))
        self.box.setCurrentIndex(self.box.findData(preset.name) if preset is not None else -1)
        self.delete.setEnabled(preset is not None and preset.name != RECOMMENDED.name)
        self.note.setText(
            self.tr("What Qwen and the checkpoint recommend, with thinking and without.")
            if preset is not None and preset.name == RECOMMENDED.name
            else self.tr("A preset holds the system prompt, sampling, lengths and stop strings.")
        )

    # -- what the user does ----------------------------------------------------------------

    def _on_activated(self, index: int) -> None:
        name = self.box.itemData(index)
        for preset in self._presets.entries:
            if preset.name == name:
                self.picked.emit(preset)

    def _delete(self) -> None:
        preset = self._preset()
        if preset is not None and preset.name != RECOMMENDED.name:
            self._presets.delete(preset.name)
            self.box.setFocus()

    def _name_it(self) -> None:
        preset = self._preset()
        self.name.setText(preset.name if preset is not None else "")
        self.name.selectAll()
        self._on_named()
        self.pages.setCurrentWidget(self._naming)
        self.name.setFocus()

    def _on_named(self) -> None:
        name = self._wanted_name()
        known = any(preset.name == name for preset in self._presets.entries)
        self.save.setEnabled(bool(name))
        self.save.setText(self.tr("Replace") if known and name else self.tr("Save"))

    def _wanted_name(self) -> str:
        return " ".join(self.name.text().split())

    def _save(self) -> None:
        if name := self._wanted_name():
            self._presets.save(name, self._values)
            self._stop_naming()
            self.box.setCurrentIndex(self.box.findData(name))
            self._show()

    def _stop_naming(self) -> None:
        self.pages.setCurrentWidget(self._choice)
        self.save_as.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """In the name field Enter saves and Escape leaves it, not the dialog."""
        if watched is self.name and isinstance(event, QKeyEvent):
            key = event.key()
            if event.type() == QEvent.Type.ShortcutOverride and key == Qt.Key.Key_Escape:
                event.accept()
                return True
            if event.type() == QEvent.Type.KeyPress:
                if key == Qt.Key.Key_Escape:
                    self._stop_naming()
                    return True
                if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                    self._save()
                    return True
        return super().eventFilter(watched, event)
