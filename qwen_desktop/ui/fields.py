"""One setting's control, and a form of them: both settings dialogs are made of these."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PySide6.QtCore import QEvent, QLocale, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QFont, QFontDatabase, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.chat.settings import Setting, Value
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Button, Label, Line, ScrollBar
from qwen_desktop.ui.i18n import setting_text

TEXT_MS = 400  # a typed text applies after this pause
_INT_MAX = 2**31 - 1
_LINES = 4  # of a text of several lines


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
            self.recommended = QCheckBox()
            self.recommended.setObjectName(f"setting_{setting.name}_recommended")
            self.set_known("")
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

    def set_known(self, value: str) -> None:
        """Say what leaving the setting alone comes to; empty where that is not known."""
        if self.recommended is None:
            return
        words = self._none_text()
        self.recommended.setAccessibleName(f"{setting_text(self.setting.label)}: {words}")
        self.recommended.setAccessibleDescription(value)
        if value:
            words = self.tr("{words} ({value})").format(words=words, value=value)
        self.recommended.setText(words)

    def _none_text(self) -> str:
        """What None means."""
        others = {
            "seed": self.tr("A new one for every answer"),
            "thinking_budget": self.tr("No limit"),
            "kv_memory": self.tr("What is free"),
        }
        return others.get(self.setting.name, self.tr("As recommended"))

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
        if self.setting.dictionary:
            return self._build_dictionaries()
        if self.setting.line:
            return self._build_line()
        return self._build_font() if self.setting.font else self._build_text()

    def _build_font(self) -> tuple[Callable[[], Value], Callable[..., None], QWidget]:
        """The families of this machine, each in its own letters; the first entry is ours."""
        box = QComboBox()
        self._guard(box)
        box.addItem(self.tr("Standard"), "")
        for family in QFontDatabase.families():
            if QFontDatabase.isScalable(family) and not QFontDatabase.isPrivateFamily(family):
                box.addItem(family, family)
                box.setItemData(box.count() - 1, QFont(family), Qt.ItemDataRole.FontRole)
        box.currentIndexChanged.connect(self._tell)

        def write(family: str) -> None:
            # A family of another machine is shown as ours, which is what it comes to.
            box.setCurrentIndex(max(box.findData(family), 0))

        return lambda: str(box.currentData()), write, box

    def _build_dictionaries(self) -> tuple[Callable[[], Value], Callable[..., None], QWidget]:
        """The languages of this machine, which `set_languages` brings."""
        box = QComboBox()
        self._guard(box)
        box.addItem(self.tr("As the system"), "")
        box.currentIndexChanged.connect(self._tell)

        def write(language: str) -> None:
            if box.findData(language) < 0:  # chosen once, not there now: it is kept
                box.addItem(language_name(language), language)
            box.setCurrentIndex(box.findData(language))

        return lambda: str(box.currentData()), write, box

    def set_languages(self, languages: Iterable[str]) -> None:
        """Offer these dictionaries, beside what is chosen."""
        box, kept = self.control, str(self.value)
        if isinstance(box, QComboBox):
            blocked = self.blockSignals(True)
            while box.count() > 1:
                box.removeItem(1)
            for name, language in sorted((language_name(one), one) for one in languages):
                box.addItem(name, language)
            self._write(kept)
            self.blockSignals(blocked)

    def _spin(self, box: QAbstractSpinBox) -> QWidget:
        box.setKeyboardTracking(False)  # 4096 should not apply as 4, 40, 409
        self._guard(box)
        return box

    def _guard(self, control: QWidget) -> None:
        """Let the wheel scroll the form rather than change a value that has not the focus."""
        control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        control.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Pass the wheel on; Enter takes what was typed, rather than press a dialog's button."""
        if isinstance(watched, (QAbstractSpinBox, QLineEdit)) and _is_enter(event):
            if isinstance(watched, QAbstractSpinBox):
                watched.interpretText()
            else:
                self.finish()
            watched.selectAll()
            return True
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
        if self.setting.multiline:  # each line counts as it is written, spaces too
            edit.setFont(theme.code_font())
            edit.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        edit.setFixedHeight(edit.fontMetrics().lineSpacing() * _LINES + 12)
        pause = QTimer(self)
        pause.setSingleShot(True)
        pause.setInterval(TEXT_MS)
        pause.timeout.connect(self._tell)
        edit.textChanged.connect(pause.start)
        self._pause = pause
        return edit.toPlainText, edit.setPlainText, edit

    def _build_line(self) -> tuple[Callable[[], Value], Callable[..., None], QWidget]:
        """One line of text; with a button to choose where it is a folder."""
        edit = QLineEdit()
        edit.setMinimumHeight(28)
        edit.installEventFilter(self)
        pause = QTimer(self)
        pause.setSingleShot(True)
        pause.setInterval(TEXT_MS)
        pause.timeout.connect(self._tell)
        edit.textChanged.connect(pause.start)
        self._pause = pause
        if self.setting.folder:
            choose = Button(self.tr("Choose…"), height=28)
            choose.setObjectName(f"choose_{self.setting.name}")
            choose.setAccessibleName(f"{setting_text(self.setting.label)}: {self.tr('Choose…')}")
            choose.clicked.connect(self._choose_folder)
            self._row.insertWidget(0, choose)
            self._row.setDirection(QHBoxLayout.Direction.RightToLeft)
        return lambda: edit.text().strip(), edit.setText, edit

    def _choose_folder(self) -> None:
        from qwen_desktop.ui.folder_picker import pick_folder

        pick_folder(self, setting_text(self.setting.label), str(self.value), self._write)

    def finish(self) -> None:
        """Apply what is still waiting."""
        pause = getattr(self, "_pause", None)
        if pause is not None and pause.isActive():
            pause.stop()
            self._tell()


def _is_enter(event: QEvent) -> bool:
    """Whether the Enter key is pressed."""
    if event.type() != QEvent.Type.KeyPress or not isinstance(event, QKeyEvent):
        return False
    return event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)


def language_name(language: str) -> str:
    """A language by the name it has itself, and where it is spoken: "Deutsch (Schweiz)"."""
    locale = QLocale(language)
    if locale.language() == QLocale.Language.C:
        return language
    name = locale.nativeLanguageName() or language
    if "_" not in language.replace("-", "_") or " " in name:  # "American English" says it already
        return name
    return f"{name} ({locale.nativeTerritoryName() or language})"


class Form(QScrollArea):
    """Settings one below the other, with names on the left and explanations below.

    `changed(name, value)` carries what the user set, a value that the table accepts.
    """

    changed = Signal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fields: dict[str, Field] = {}
        self.names: dict[str, Label] = {}
        self._explanations: dict[str, Label] = {}
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(24)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(1, 1)
        self._content = content = QWidget()
        self._column = QVBoxLayout(content)
        self._column.setContentsMargins(24, 20, 24, 20)
        self._column.setSpacing(8)
        self._column.addLayout(self._grid)
        self._column.addStretch(1)
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # its fields take the focus
        self.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidget(content)
        content.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay as wide as the rows need: there is no scrolling sideways, only clipped controls."""
        if watched is self._content and event.type() == QEvent.Type.LayoutRequest:
            bar = self.verticalScrollBar().sizeHint().width()
            self.setMinimumWidth(self._content.minimumSizeHint().width() + bar)
        return super().eventFilter(watched, event)

    def add_group(self, title: str, settings: Iterable[tuple[Setting, Value]]) -> None:
        """A heading and a row for each setting, with the value it has now."""
        row = self._grid.rowCount()
        if self.fields:
            self._grid.addWidget(Line(), row, 0, 1, 2)
        heading = Label(title, 16, bold=True)
        heading.setContentsMargins(0, 12 if self.fields else 0, 0, 4)
        self._grid.addWidget(heading, row + 1, 0, 1, 2)
        for i, (setting, value) in enumerate(settings):
            self._add_row(row + 2 + i, setting, value)

    def _add_row(self, row: int, setting: Setting, value: Value) -> None:
        field = Field(setting, value)
        field.changed.connect(lambda new: self.changed.emit(setting.name, new))
        name = Label(setting_text(setting.label), 14)
        name.setBuddy(field.control)
        name.setContentsMargins(0, 4, 0, 0)
        explanation = Label(setting_text(setting.help), 12, dim=True, wrap=True)
        explanation.setContentsMargins(0, 0, 0, 12)
        right = QVBoxLayout()
        right.setSpacing(4)
        right.addWidget(field)
        right.addWidget(explanation)
        self._grid.addWidget(name, row, 0, Qt.AlignmentFlag.AlignTop)
        self._grid.addLayout(right, row, 1)
        self.fields[setting.name] = field
        self._explanations[setting.name] = explanation
        self.names[setting.name] = name

    def explain(self, name: str, words: str = "") -> None:
        """Say something else below a setting; its usual help where there are no `words`."""
        words = words or setting_text(self.fields[name].setting.help)
        self._explanations[name].setText(words)
        self.fields[name].control.setAccessibleDescription(words)
        self.fields[name].control.setToolTip(words)

    def finish(self) -> None:
        """Apply what is still waiting."""
        for field in self.fields.values():
            field.finish()
