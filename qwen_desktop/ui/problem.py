"""How trouble is shown: a banner with one sentence and its remedy."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QRectF, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import (
    QHBoxLayout,
    QWidget,
)

from qwen_desktop.bridge.words import joined, translated
from qwen_desktop.errors import Report
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import (
    COLUMN_LEFT,
    COLUMN_RIGHT,
    Button,
    Column,
    IconButton,
    TintedLabel,
)


class Banner(QWidget):
    """A red card that stays until it is closed or the next try begins."""

    details_requested = Signal(object)  # Report

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self._report: Report | None = None
        self._run: Callable[[], object] | None = None
        self.label = TintedLabel("", 13, tint="error", wrap=True)
        self.label.setObjectName("problem")
        self.action = Button("", kind="tinted", tint="error", height=28)
        self.action.setObjectName("problemAction")
        self.action.setAccessibleName(self.tr("What to do"))
        self.details = Button(self.tr("Details"), kind="tinted", tint="error", height=28)
        self.details.setObjectName("problemDetails")
        self.details.setAccessibleName(self.tr("Details"))
        self.close_button = IconButton("close", self.tr("Close message"), height=28)
        self.close_button.setObjectName("closeProblem")
        self.close_button.tint = "error"
        self._card = Card("error")
        row = QHBoxLayout(self._card)
        row.setContentsMargins(14, 8, 8, 8)
        row.setSpacing(8)
        row.addWidget(self.label, 1)
        row.addWidget(self.action)
        row.addWidget(self.details)
        row.addWidget(self.close_button)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(COLUMN_LEFT, 12, COLUMN_RIGHT, 8)
        outer.addStretch(1)
        outer.addWidget(self._card, 1000)
        outer.addStretch(1)
        self.details.clicked.connect(lambda: self.details_requested.emit(self._report))
        self.action.clicked.connect(self._act)
        self.close_button.clicked.connect(self.dismiss)
        self.hide()

    @property
    def report(self) -> Report | None:
        """What is shown."""
        return self._report

    def show_report(
        self,
        report: Report,
        note: str = "",
        action: tuple[str, Callable[[], object]] | None = None,
    ) -> None:
        """Show the sentence, the remedy and a `note`; Details where there are any.

        `action` is one more button: its words, and what it does after the banner is closed.
        """
        self._report = report
        text = joined(translated(report), note)
        words, self._run = action if action is not None else ("", None)
        self.action.setText(words)
        self.action.setAccessibleName(words or self.tr("What to do"))
        self.action.setVisible(bool(words))
        self.label.setText(text)
        self.label.setAccessibleName(text)
        self.details.setVisible(bool(report.details))
        self.show()
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    def _act(self) -> None:
        run = self._run
        self.dismiss()
        if run is not None:
            run()

    def dismiss(self) -> None:
        """Close."""
        self._report = None
        self._run = None
        self.hide()


class Card(Column):
    """A rounded ground in a colour of the theme and its background: "error" or "warning"."""

    def __init__(self, tint: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tint = tint

    def paintEvent(self, event: QPaintEvent) -> None:
        """Fill and line."""
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(getattr(t, self._tint)), 1))
        painter.setBrush(QColor(getattr(t, f"{self._tint}_background")))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
