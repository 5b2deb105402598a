"""The settings dialog, made from the one table of settings. Every change applies at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QPlainTextEdit,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.chat.settings import GROUPS, SETTINGS, Setting, Value
from qwen_desktop.ui.controls import Label, Line, ScrollBar
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.i18n import setting_text

if TYPE_CHECKING:
    from qwen_desktop.bridge.preferences import PreferencesModel

TEXT_MS = 400  # a typed text applies after this pause
_INT_MAX = 2**31 - 1


class Field(QWidget):
    """One setting's control. `changed` carries a value that the table accepts."""

    changed = Signal(object)

    def __init__(self, setting: Setting, value: Value, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setting = setting
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(12)
        self._read, self._write, self.control = self._build()
        self.control.setObjectName(f"setting_{setting.name}")
        self.control.setAccessibleName(setting_text(setting.label))
        self.control.setAccessibleDescription(setting_text(setting.help))
        self.control.setToolTip(setting_text(setting.help))
        self.recommended: QCheckBox | None = None
        if setting.optional:
            self.recommended = QCheckBox(self._none_text())
            self.recommended.setObjectName(f"setting_{setting.name}_recommended")
            self.recommended.setAccessibleName(
                f"{setting_text(setting.label)}: {self._none_text()}"
            )
            self.recommended.toggled.connect(self._on_recommended)
            self._row.addWidget(self.recommended)
        self._row.addWidget(self.control, 1)
        self.set_value(value)

    @property
    def value(self) -> Value:
        """The value as it stands in the control."""
        if self.recommended is not None and self.recommended.isChecked():
            return None
        return self._read()

    def set_value(self, value: Value) -> None:
        """Show `value` without telling it back."""
        blocked = self.blockSignals(True)
        if self.recommended is not None:
            self.recommended.setChecked(value is None)
            self.control.setEnabled(value is not None)
        if value is not None and value != self._read():
            self._write(value)
        self.blockSignals(blocked)

    def _none_text(self) -> str:
        if self.setting.name == "seed":
            return self.tr("A new one for every answer")
        return self.tr("As the checkpoint recommends")

    def _on_recommended(self, recommended: bool) -> None:
        self.control.setEnabled(not recommended)
        self._tell()

    def _tell(self) -> None:
        value = self.value
        if self.setting.accepts(value):
            self.changed.emit(value)

    # -- one control per type ----------------------------------------------------------------

    def _build(self) -> tuple[Callable[[], Value], Callable[..., None], QWidget]:
        if self.setting.choices:
            return self._build_choices()
        if self.setting.kind is bool:
            check = QCheckBox(self.tr("On"))
            check.toggled.connect(self._tell)
            check.setMinimumHeight(28)
            return check.isChecked, check.setChecked, check
        if self.setting.kind is int:
            whole = QSpinBox()
            whole.setRange(int(self.setting.minimum or 0), int(self.setting.maximum or _INT_MAX))
            whole.setSingleStep(int(self.setting.step))
            whole.setValue(int(self.setting.neutral))
            whole.valueChanged.connect(self._tell)
            return whole.value, whole.setValue, self._spin(whole)
        if self.setting.kind is float:
            real = QDoubleSpinBox()
            real.setDecimals(2)
            real.setRange(self.setting.minimum or 0.0, self.setting.maximum or 1e9)
            real.setSingleStep(self.setting.step)
            real.setValue(self.setting.neutral)
            real.valueChanged.connect(self._tell)
            return lambda: round(real.value(), 2), real.setValue, self._spin(real)
        return self._build_text()

    def _spin(self, box: QAbstractSpinBox) -> QWidget:
        box.setKeyboardTracking(False)  # 4096 should not apply as 4, 40, 409
        self._guard(box)
        return box

    def _guard(self, control: QWidget) -> None:
        """Let the wheel scroll the form rather than change a value that has not the focus."""
        control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        control.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Pass the wheel on."""
        wheel = event.type() == QEvent.Type.Wheel
        if wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    def _build_choices(self) -> tuple[Callable[[], Value], Callable[..., None], QWidget]:
        box = QComboBox()
        self._guard(box)
        for key, words in self.setting.choices:
            box.addItem(setting_text(words), key)
        box.currentIndexChanged.connect(self._tell)
        return (
            lambda: str(box.currentData()),
            lambda value: box.setCurrentIndex(box.findData(value)),
            box,
        )

    def _build_text(self) -> tuple[Callable[[], Value], Callable[..., None], QWidget]:
        edit = QPlainTextEdit()
        edit.setTabChangesFocus(True)
        edit.setFixedHeight(edit.fontMetrics().lineSpacing() * 4 + 12)
        pause = QTimer(self)
        pause.setSingleShot(True)
        pause.setInterval(TEXT_MS)
        pause.timeout.connect(self._tell)
        edit.textChanged.connect(pause.start)
        self._pause = pause
        return edit.toPlainText, edit.setPlainText, edit

    def finish(self) -> None:
        """Apply what is still waiting."""
        pause = getattr(self, "_pause", None)
        if pause is not None and pause.isActive():
            pause.stop()
            self._tell()


class SettingsDialog(Dialog):
    """Groups and rows in the order of the table."""

    def __init__(self, preferences: PreferencesModel, parent: QWidget | None = None) -> None:
        super().__init__("settingsDialog", self.tr("Settings"), parent)
        self.resize(620, 640)
        self._preferences = preferences
        self.fields: dict[str, Field] = {}
        form = QWidget()
        column = QVBoxLayout(form)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(8)
        grid = QGridLayout()
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        for group, title in GROUPS:
            self._add_group(grid, group, setting_text(title))
        column.addLayout(grid)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # its fields take the focus
        scroll.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, scroll))
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(form)
        buttons = self.close_box()
        buttons.setContentsMargins(24, 12, 24, 16)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(scroll, 1)
        outer.addWidget(Line())
        outer.addWidget(buttons)
        preferences.changed.connect(self._on_changed)
        self.finished.connect(self._finish)

    def _add_group(self, grid: QGridLayout, group: str, title: str) -> None:
        row = grid.rowCount()
        if self.fields:
            grid.addWidget(Line(), row, 0, 1, 2)
        heading = Label(title, 16, bold=True)
        heading.setContentsMargins(0, 12 if self.fields else 0, 0, 4)
        grid.addWidget(heading, row + 1, 0, 1, 2)
        for i, setting in enumerate(s for s in SETTINGS if s.group == group):
            self._add_row(grid, row + 2 + i, setting)

    def _add_row(self, grid: QGridLayout, row: int, setting: Setting) -> None:
        field = Field(setting, self._preferences.get(setting.name))
        field.changed.connect(lambda value: self._preferences.set(setting.name, value))
        self.fields[setting.name] = field
        name = Label(setting_text(setting.label), 14)
        name.setBuddy(field.control)
        name.setContentsMargins(0, 4, 0, 0)
        explanation = Label(setting_text(setting.help), 12, dim=True, wrap=True)
        explanation.setContentsMargins(0, 0, 0, 12)
        right = QVBoxLayout()
        right.setSpacing(4)
        right.addWidget(field)
        right.addWidget(explanation)
        grid.addWidget(name, row, 0, Qt.AlignmentFlag.AlignTop)
        grid.addLayout(right, row, 1)

    def _on_changed(self, name: str, value: Value) -> None:
        self.fields[name].set_value(value)

    def _finish(self) -> None:
        for field in self.fields.values():
            field.finish()
