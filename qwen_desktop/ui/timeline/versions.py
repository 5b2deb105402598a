"""Which version of a message is shown, and the way to the ones beside it: ‹ 2/3 ›."""

from __future__ import annotations

from PySide6.QtCore import QLocale, QPointF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from qwen_desktop.ui.timeline.buttons import TextButton, button_height
from qwen_desktop.ui.timeline.labels import advance, colour_label, plain_label
from qwen_desktop.ui.timeline.shared import Shared

_GAP = 4  # px between a button and the numbers


class _StepButton(TextButton):
    """An arrow to the left (`step` -1) or to the right (1)."""

    def __init__(self, shared: Shared, parent: QWidget, step: int, name: str) -> None:
        super().__init__(shared, parent, "", name)
        self._step = step
        self.setToolTip(name)

    def sizeHint(self) -> QSize:
        """A square."""
        return QSize(button_height(), button_height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Hover and focus as any button, and the arrow."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.isEnabled():
            painter.setOpacity(0.4)
        painter.setPen(QPen(QColor(self.colours(self._shared.theme)[0]), 1.6))
        x, y, arm = self.width() / 2 + 1.5 * self._step, self.height() / 2, 3.5
        back = x - arm * self._step
        painter.drawPolyline(
            QPolygonF([QPointF(back, y - arm), QPointF(x, y), QPointF(back, y + arm)])
        )


class VersionSwitch(QWidget):
    """Two arrows around "2/3"."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(parent)
        self._shared = shared
        self._id = ""
        self._position, self._count = 1, 1
        self.previous = _StepButton(shared, self, -1, self.tr("Previous version"))
        self.previous.clicked.connect(lambda: shared.version_requested.emit(self._id, -1))
        self.next = _StepButton(shared, self, 1, self.tr("Next version"))
        self.next.clicked.connect(lambda: shared.version_requested.emit(self._id, 1))
        self._label = plain_label(self)
        self._label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.apply_theme()

    @property
    def text(self) -> str:
        """The numbers as shown."""
        return self._label.text()

    def show_version(self, message_id: str, position: int, count: int) -> None:
        """Version `position`, from 1, of `count`."""
        self._id, self._position, self._count = message_id, position, count
        locale = QLocale()
        numbers = locale.toString(position), locale.toString(count)
        self._label.setText("/".join(numbers))
        name = self.tr("Version %1 of %2").replace("%1", numbers[0]).replace("%2", numbers[1])
        self._label.setAccessibleName(name)
        for button in (self.previous, self.next):
            button.setAccessibleDescription(name)
        side = button_height()
        width = self.sizeHint().width() - 2 * side
        self.previous.setGeometry(0, 0, side, side)
        self._label.setGeometry(side, 0, width, side)
        self.next.setGeometry(side + width, 0, side, side)
        self.refresh_enabled()

    def arrow(self, step: int) -> TextButton | None:
        """The arrow for `step`, or the other one at the end; None where neither works."""
        arrows = (self.previous, self.next) if step < 0 else (self.next, self.previous)
        return next((arrow for arrow in arrows if arrow.isEnabled()), None)

    def refresh_enabled(self) -> None:
        """Not while an answer is written, and not past the ends."""
        free = not self._shared.streaming
        self.previous.setEnabled(free and self._position > 1)
        self.next.setEnabled(free and self._position < self._count)

    def sizeHint(self) -> QSize:
        """The arrows and the widest numbers there can be."""
        count, side = QLocale().toString(self._count), button_height()
        return QSize(2 * side + 2 * _GAP + advance(f"{count}/{count}"), side)

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        colour_label(self._label, self._shared.theme.dim)
