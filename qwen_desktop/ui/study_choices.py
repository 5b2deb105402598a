"""What a memory study is to measure: lengths and ways, and what that will take."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QLocale, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCheckBox, QLineEdit, QVBoxLayout, QWidget

from qwen_desktop.chat.study import (
    MAX_LENGTHS,
    Study,
    StudyOutlook,
    StudySetup,
    Way,
    read_lengths,
)
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Label, TintedLabel
from qwen_desktop.ui.study_chart import HINTS, tr, way_text
from qwen_desktop.ui.texts import duration_text, size_text

TYPED_MS = 500


class StudyChoices(QWidget):
    """A column of fields.

    Signals: `changed()`: another study is wanted, soon after the last key; `entered()`: Enter
    was pressed in the field of lengths.
    """

    changed = Signal()
    entered = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(TYPED_MS)
        self._timer.timeout.connect(self.changed)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        label = Label(self.tr("Prompts, in tokens"), 13, dim=True)
        column.addWidget(label)
        self.lengths = QLineEdit()
        self.lengths.setObjectName("studyLengths")
        self.lengths.setAccessibleName(label.text())
        self.lengths.setFont(theme.body_font())
        self.lengths.setPlaceholderText(self.tr("64, 128, 256 … as far as it fits"))
        self.lengths.textEdited.connect(self._wait)
        self.lengths.installEventFilter(self)
        label.setBuddy(self.lengths)
        column.addWidget(self.lengths)
        self.trouble = TintedLabel("", 12, tint="error", wrap=True)
        self.trouble.hide()
        column.addWidget(self.trouble)
        column.addSpacing(6)
        column.addWidget(Label(self.tr("Ways to read them"), 13, dim=True))
        self.ways: dict[Way, QCheckBox] = {}
        for way in Way:
            box = QCheckBox(way_text(way))
            box.setObjectName(f"studyWay_{way.value}")
            box.setAccessibleName(box.text())
            hint = tr(HINTS[way])
            box.setAccessibleDescription(hint)
            box.setToolTip(hint)
            box.setFont(theme.body_font())
            box.setChecked(True)
            box.toggled.connect(self._wait)
            self.ways[way] = box
            column.addWidget(box)
            told = Label(hint, 12, dim=True, wrap=True)
            told.setContentsMargins(theme.px(24), 0, 0, 4)
            column.addWidget(told)
        column.addSpacing(6)
        self.outlook = Label("", 13, wrap=True)
        self.outlook.setObjectName("studyOutlook")
        column.addWidget(self.outlook)
        column.addStretch(1)

    def _wait(self) -> None:
        self._timer.start()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Enter in the field, which would press the dialog's Close."""
        enter = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        pressed = event.type() == QEvent.Type.KeyPress
        if pressed and isinstance(event, QKeyEvent) and event.key() in enter:
            self.entered.emit()
            return True
        return super().eventFilter(watched, event)

    def setup(self) -> StudySetup | None:
        """What is chosen; None where nothing can be measured with it, which is then said."""
        lengths: tuple[int, ...] = ()
        trouble = ""
        if self.lengths.text().strip():
            try:
                lengths = read_lengths(self.lengths.text())
            except ValueError:
                trouble = self.tr("Type at most {most} numbers of tokens from 2 on.").format(
                    most=MAX_LENGTHS
                )
        ways = tuple(way for way, box in self.ways.items() if box.isChecked())
        if not ways:
            trouble = self.tr("Choose at least one way.")
        self.trouble.setText(trouble)
        self.trouble.setVisible(bool(trouble))
        return None if trouble else StudySetup(lengths, ways)

    def show_setup(self, setup: StudySetup) -> None:
        """Show what a study under way, or an earlier one, measures; it is no new wish."""
        self.lengths.setText(", ".join(map(str, setup.lengths)))
        for way, box in self.ways.items():
            box.blockSignals(True)
            box.setChecked(way in setup.ways)
            box.blockSignals(False)
        self._timer.stop()
        self.trouble.hide()

    def set_running(self, running: bool) -> None:
        """Nothing is chosen while something is measured."""
        for field in (self.lengths, *self.ways.values()):
            field.setEnabled(not running)

    def show_outlook(self, outlook: StudyOutlook | None, waiting: str) -> None:
        """What it will take; `waiting` stands there while that is not known."""
        wanted = self.setup()
        if outlook is None or wanted is None or not _is_of(outlook, wanted):
            self.outlook.setText(waiting)
            return
        locale = QLocale()
        lengths = outlook.head.setup.lengths
        fitting = [one for one in outlook.ways if one.longest]
        if not fitting:
            self.outlook.setText(self.tr("None of these prompts fits into the memory there is."))
            return
        words = [
            self.tr(
                "Up to {tokens} tokens. It takes about {time} and up to {need} of {all}."
            ).format(
                tokens=locale.toString(max(one.longest for one in fitting)),
                time=duration_text(max(1, round(outlook.seconds()))),
                need=size_text(max(one.need for one in fitting), locale),
                all=size_text(outlook.head.room, locale),
            )
        ]
        words += [
            self.tr("{way}: as far as {tokens} tokens.").format(
                way=way_text(one.way), tokens=locale.toString(one.longest)
            )
            for one in outlook.ways
            if one.longest < lengths[-1]
        ]
        self.outlook.setText("\n".join(words))


def _is_of(outlook: StudyOutlook, wanted: StudySetup) -> bool:
    """Whether it tells of what is wanted, and not of what was typed before."""
    settled = outlook.head.setup
    return settled.ways == wanted.ways and wanted.lengths in ((), settled.lengths)


def left_text(outlook: StudyOutlook | None, study: Study | None) -> str:
    """How long it still takes; "" where that is not known."""
    if outlook is None or study is None or study.head.setup != outlook.head.setup:
        return ""
    seconds = outlook.seconds(study)
    return duration_text(max(1, round(seconds))) if seconds else ""
