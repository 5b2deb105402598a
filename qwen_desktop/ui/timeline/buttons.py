"""Small text buttons of the timeline: quiet ones that show on hover, pills, coloured ones."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QFontMetrics, QGuiApplication, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QWidget

from qwen_desktop.ui.theme import Theme, body_font
from qwen_desktop.ui.timeline.shared import Shared

HEIGHT = 24  # px


class TextButton(QAbstractButton):
    """A button of text alone, reached with Tab; a click leaves the focus where it was."""

    def __init__(self, shared: Shared, parent: QWidget, text: str, name: str) -> None:
        super().__init__(parent)
        self._shared = shared
        self._quiet = False
        self._outlined = False
        self._revealed = True
        self.setText(text)
        self.setAccessibleName(name)
        self.setFont(body_font(12))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def set_quiet(self, quiet: bool) -> None:
        """A quiet button is painted only under the pointer of its message or with the focus."""
        self._quiet = quiet
        self.update()

    def set_outlined(self, outlined: bool) -> None:
        """A border, where a button must be seen as one."""
        self._outlined = outlined
        self.update()

    def reveal(self, revealed: bool) -> None:
        """Whether the pointer is on the message."""
        if revealed != self._revealed:
            self._revealed = revealed
            self.update()

    def sizeHint(self) -> QSize:
        """The text with its padding."""
        width = QFontMetrics(self.font()).horizontalAdvance(self.text())
        return QSize(width + 16, HEIGHT)

    def colours(self, theme: Theme) -> tuple[str, str | None, str | None]:
        """Text, fill and border."""
        border = theme.field_border if self._outlined else None
        return theme.text if self.underMouse() else theme.dim, None, border

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Text, hover tint, focus ring."""
        if self._quiet and not (self._revealed or self.hasFocus()):
            return
        theme = self._shared.theme
        text, fill, border = self.colours(theme)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = self.rect().toRectF().adjusted(1, 1, -1, -1)
        radius = min(6.0, box.height() / 2) if fill is None else box.height() / 2
        if fill is None and (self.underMouse() or self.isDown()):
            tint = QColor(theme.dim)
            tint.setAlpha(60 if self.isDown() else 36)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(tint)
            painter.drawRoundedRect(box, radius, radius)
        if fill is not None or border is not None:
            painter.setBrush(QColor(fill) if fill else Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(border or fill or text), 1))
            painter.drawRoundedRect(box, radius, radius)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(theme.accent), 2))
            painter.drawRoundedRect(box, radius, radius)
        painter.setPen(QColor(text))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.text())

    def event(self, event: QEvent) -> bool:
        """Repaint where the look depends on the state."""
        if event.type() in (QEvent.Type.Enter, QEvent.Type.Leave):
            self.update()
        return super().event(event)


class ErrorButton(TextButton):
    """On the red card."""

    def colours(self, theme: Theme) -> tuple[str, str | None, str | None]:
        """Error colours."""
        return theme.error, None, theme.error


class PillButton(TextButton):
    """Floats above the text."""

    def sizeHint(self) -> QSize:
        """Roomier than the others."""
        size = super().sizeHint()
        return QSize(size.width() + 16, 32)

    def colours(self, theme: Theme) -> tuple[str, str | None, str | None]:
        """Opaque."""
        return theme.text, theme.panel, theme.field_border


class CopyButton(TextButton):
    """Says for two seconds that it has copied."""

    def __init__(self, shared: Shared, parent: QWidget, name: str) -> None:
        super().__init__(shared, parent, "", name)
        self.setText(self.tr("Copy"))
        self._back = QTimer(self)
        self._back.setSingleShot(True)
        self._back.setInterval(2000)
        self._back.timeout.connect(self._reset)

    def sizeHint(self) -> QSize:
        """Wide enough for both texts, so that nothing moves."""
        metrics = QFontMetrics(self.font())
        texts = (self.tr("Copy"), self.tr("Copied"))
        return QSize(max(map(metrics.horizontalAdvance, texts)) + 16, HEIGHT)

    def copy(self, text: str) -> None:
        """Put `text` on the clipboard and say so."""
        QGuiApplication.clipboard().setText(text)
        self.setText(self.tr("Copied"))
        self._back.start()

    def _reset(self) -> None:
        self.setText(self.tr("Copy"))
