"""The text of an attached file, to be read and copied."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QMimeData, Signal
from PySide6.QtGui import QColor, QGuiApplication, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QPlainTextEdit,
    QPushButton,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.chat.attached import tidy_name
from qwen_desktop.chat.messages import Part
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Label
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.message_edit import with_breaks, without_breaks

SHOWN = 500_000  # characters; laying out more takes too long
_MOST_MARKS = 2_000


class FileTextDialog(Dialog):
    """Signal: `as_text_requested` where the text is wanted in the message, if that is offered."""

    as_text_requested = Signal()

    def __init__(
        self, file: Part, detail: str, parent: QWidget | None = None, *, offers_text: bool = False
    ) -> None:
        name = tidy_name(file.name)
        super().__init__("fileText", name, parent)
        self._file = file
        self.resize(theme.px(680), theme.px(520))
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 20, 20, 16)
        column.setSpacing(12)
        facts = [detail] if detail else []
        if len(file.text) > SHOWN:
            facts.append(self.tr("the first %Ln characters are shown; all are copied", "", SHOWN))
        self.facts = Label(" · ".join(facts), 13, dim=True, wrap=True)
        column.addWidget(self.facts)
        self.facts.setVisible(bool(facts))
        self.text = _Text()
        self.text.setObjectName("fileTextText")
        self.text.setAccessibleName(self.tr("Text of {name}").format(name=name))
        self.text.setReadOnly(True)
        self.text.setFont(theme.code_font())
        self.text.setPlainText(with_breaks(file.text[:SHOWN]))
        column.addWidget(self.text, 1)
        buttons: QDialogButtonBox = self.close_box()
        role = QDialogButtonBox.ButtonRole.ActionRole
        copy = QPushButton(self.tr("Copy"))
        copy.setObjectName("copyFile")
        copy.setAccessibleName(self.tr("Copy the text"))
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(file.text))
        buttons.addButton(copy, role)
        if offers_text:
            put = QPushButton(self.tr("Put into the message"))
            put.setObjectName("fileAsText")
            put.setAccessibleName(put.text())
            put.clicked.connect(self._put_back)
            buttons.addButton(put, role)
        column.addWidget(buttons)

    def mark(self, spans: Sequence[tuple[int, int]], now: int) -> None:
        """Mark spans of `self.text`, in the units of its document, and show number `now`."""
        colours, document = theme.current(), self.text.document()
        looks = []
        for number, (begin, end) in enumerate(spans[:_MOST_MARKS]):
            look = QTextEdit.ExtraSelection()
            letters = QTextCharFormat()
            tint = colours.found_now if number == now else colours.found
            letters.setBackground(QColor(tint))
            letters.setForeground(QColor(colours.text))
            cursor = QTextCursor(document)
            cursor.setPosition(begin)
            cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
            look.cursor, look.format = cursor, letters
            looks.append(look)
        self.text.setExtraSelections(looks)
        if now < len(spans):
            cursor = QTextCursor(document)
            cursor.setPosition(spans[now][0])
            self.text.setTextCursor(cursor)
            self.text.centerCursor()

    def _put_back(self) -> None:
        self.accept()
        self.as_text_requested.emit()


class _Text(QPlainTextEdit):
    """Copies without the cuts of long paragraphs."""

    def createMimeDataFromSelection(self) -> QMimeData:
        """Plain text."""
        data = QMimeData()
        data.setText(without_breaks(self.textCursor().selection().toPlainText()))
        return data
