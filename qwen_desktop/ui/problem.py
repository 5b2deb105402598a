"""How trouble is shown: a banner with one sentence and its remedy, and the details dialog."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QRectF, Qt, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QGuiApplication,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.bridge.words import translated
from qwen_desktop.errors import Report
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import (
    COLUMN_LEFT,
    COLUMN_RIGHT,
    Button,
    IconButton,
    Label,
    TintedLabel,
)
from qwen_desktop.ui.dialog import Dialog


class Banner(QWidget):
    """A red card that stays until it is closed or the next try begins."""

    details_requested = Signal(object)  # Report

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self._report: Report | None = None
        self.label = TintedLabel("", 13, tint="error", wrap=True)
        self.label.setObjectName("problem")
        self.details = Button(self.tr("Details"), kind="tinted", tint="error", height=28)
        self.details.setObjectName("problemDetails")
        self.details.setAccessibleName(self.tr("Details"))
        self.close_button = IconButton("close", self.tr("Close message"), height=28)
        self.close_button.setObjectName("closeProblem")
        self.close_button.tint = "error"
        self._card = _Card()
        row = QHBoxLayout(self._card)
        row.setContentsMargins(14, 8, 8, 8)
        row.setSpacing(8)
        row.addWidget(self.label, 1)
        row.addWidget(self.details)
        row.addWidget(self.close_button)
        self._card.setMaximumWidth(theme.COLUMN_WIDTH)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(COLUMN_LEFT, 12, COLUMN_RIGHT, 0)
        outer.addStretch(1)
        outer.addWidget(self._card, 1000)
        outer.addStretch(1)
        self.details.clicked.connect(lambda: self.details_requested.emit(self._report))
        self.close_button.clicked.connect(self.dismiss)
        self.hide()

    @property
    def report(self) -> Report | None:
        """What is shown."""
        return self._report

    def show_report(self, report: Report) -> None:
        """Show the sentence and the remedy; Details where there are any."""
        self._report = report
        text = translated(report)
        self.label.setText(text)
        self.label.setAccessibleName(text)
        self.details.setVisible(bool(report.details))
        self.show()
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    def dismiss(self) -> None:
        """Close."""
        self._report = None
        self.hide()


class _Card(QWidget):
    def paintEvent(self, event: QPaintEvent) -> None:
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(t.error), 1))
        painter.setBrush(QColor(t.error_background))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)


class ProblemDialog(Dialog):
    """The sentence, and everything a report of it should hold, ready to copy."""

    def __init__(self, report: Report, parent: QWidget | None = None) -> None:
        super().__init__("problemDialog", self.tr("Details"), parent)
        self.resize(640, 420)
        sentence = translated(report)
        version = QCoreApplication.applicationVersion()
        name = QCoreApplication.applicationName()
        self._text = "\n\n".join(
            part for part in (sentence, report.details.strip(), f"{name} {version}".strip()) if part
        )
        label = Label(sentence, 14, wrap=True)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        details = QPlainTextEdit(report.details.strip())
        details.setReadOnly(True)
        details.setObjectName("detailsText")
        details.setAccessibleName(self.tr("Details"))
        details.setFont(theme.code_font(12))
        details.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        details.setTabChangesFocus(True)
        self.copy_button = QPushButton(self.tr("Copy"))
        self.copy_button.setObjectName("copyDetails")
        self.copy_button.setAccessibleName(self.tr("Copy details"))
        self.copy_button.setAutoDefault(False)
        self.copy_button.clicked.connect(self._copy)
        buttons = self.close_box()
        buttons.addButton(self.copy_button, QDialogButtonBox.ButtonRole.ActionRole)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 20, 20, 16)
        column.setSpacing(12)
        column.addWidget(label)
        column.addWidget(details, 1)
        column.addWidget(buttons)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._text)
        self.copy_button.setText(self.tr("Copied"))
