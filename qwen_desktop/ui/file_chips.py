"""Files as small cards: one is opened by a click, and removed by its cross or the Delete key."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QFontMetrics,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QFrame, QMenu, QScrollArea, QWidget

from qwen_desktop.ui import icons, theme
from qwen_desktop.ui.controls import RADIUS, Button, IconButton, ScrollBar, focus_ring, plain_tip

HEIGHT = 40  # px, as all here
WIDEST = 240
_GAP = 6
_ICON = 18
_CROSS = 24
_ROWS = 3  # that are seen; more are scrolled to


class FileChip(Button):
    """A file: its name, and `detail` below it. `clicked` opens it.

    Without `can_be_removed` there is no cross.
    """

    removed = Signal()
    as_text_requested = Signal()

    def __init__(
        self, name: str, detail: str, *, can_be_removed: bool = True, parent: QWidget | None = None
    ) -> None:
        super().__init__(name, icon="clip", height=HEIGHT, parent=parent)
        self.setObjectName("fileChip")
        self.name = name
        self.detail = detail
        self.offers_text = False  # whether its menu has "Show as text"
        self._tint = ""
        self.cross: IconButton | None = None
        if can_be_removed:
            remove = self.tr("Remove {name}").format(name=name)
            self.cross = IconButton("close", remove, height=_CROSS, parent=self)
            self.cross.setToolTip(plain_tip(remove))
            self.cross.clicked.connect(self.removed)
        self.set_detail(detail)

    def set_detail(self, detail: str) -> None:
        """Show another detail."""
        self.detail = detail
        self.setAccessibleName(
            self.tr("File {name}, {detail}").format(name=self.name, detail=detail)
        )
        self.setToolTip(plain_tip(f"{self.name}\n{detail}"))
        self.updateGeometry()
        self.update()

    def set_tint(self, colour: str) -> None:
        """Show it on another background, as what is found is; "" for the usual one."""
        self._tint = colour
        self.update()

    def follow_look(self) -> None:
        """Other fonts and sizes."""
        super().follow_look()
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        """Room for name and detail, within limits."""
        small = theme.body_font(12)
        text = max(
            QFontMetrics(theme.body_font(13)).horizontalAdvance(self.name),
            QFontMetrics(small).horizontalAdvance(self.detail),
        )
        cross = theme.px(_CROSS) if self.cross is not None else 0
        width = theme.px(10 + _ICON + 8) + text + 2 + theme.px(10) + cross
        return QSize(min(width, theme.px(WIDEST)), theme.px(HEIGHT))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The cross stands at the right."""
        if self.cross is not None:
            side = theme.px(_CROSS)
            self.cross.move(self.width() - side - theme.px(6), (self.height() - side) // 2)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Delete removes it."""
        if self.cross is not None and event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.removed.emit()
            return
        super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """What can be done with it."""
        menu = QMenu(self)
        menu.setAccessibleName(self.name)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(self.tr("Show the text")).triggered.connect(self.click)
        if self.offers_text:
            put_back = menu.addAction(self.tr("Put into the message"))
            put_back.triggered.connect(self.as_text_requested)
        if self.cross is not None:
            menu.addAction(self.tr("Remove")).triggered.connect(self.removed)
        menu.popup(event.globalPos())

    def paintEvent(self, event: QPaintEvent) -> None:
        """A card with the icon, the name and the detail."""
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(t.field_border if self.underMouse() else t.line), 1))
        painter.setBrush(QColor(self._tint or t.background))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), RADIUS, RADIUS)
        side = float(theme.px(_ICON))
        box = QRectF(theme.px(10), (self.height() - side) / 2, side, side)
        icons.draw(painter, "clip", box, t.accent)
        left = box.right() + theme.px(8)
        cross = theme.px(_CROSS) if self.cross is not None else 0
        width = self.width() - left - theme.px(8) - cross
        for font, colour, text, top, mode in (
            (theme.body_font(13), t.text, self.name, 4, Qt.TextElideMode.ElideMiddle),
            (
                theme.body_font(12),
                t.text if self._tint else t.dim,
                self.detail,
                20,
                Qt.TextElideMode.ElideRight,
            ),
        ):
            painter.setFont(font)
            painter.setPen(QColor(colour))
            shown = painter.fontMetrics().elidedText(text, mode, int(width))
            line = QRectF(left, theme.px(top), width, theme.px(17))
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, shown)
        if self.hasFocus() and self._ring:
            focus_ring(painter, QRectF(self.rect()), RADIUS)


class FileChips(QScrollArea):
    """Chips in rows, as high as they need up to three rows. Hidden while there are none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self))
        self._inner = QWidget()
        self._inner.setAutoFillBackground(False)
        self.setWidget(self._inner)
        self.viewport().setAutoFillBackground(False)
        self._inner.setAutoFillBackground(False)
        self.chips: list[FileChip] = []
        self.hide()

    def set_chips(self, chips: Sequence[FileChip]) -> None:
        """Show these, in this order; the others go."""
        for gone in self.chips:
            if gone not in chips:
                gone.hide()
                gone.deleteLater()
        before: QWidget | None = None
        for chip in chips:
            if chip not in self.chips:
                chip.setParent(self._inner)
                chip.show()
            if before is not None:
                QWidget.setTabOrder(before, chip)
            before = chip
            if chip.cross is not None:
                QWidget.setTabOrder(chip, chip.cross)
                before = chip.cross
        self.chips = list(chips)
        self.setVisible(bool(chips))
        self.place()

    def place(self) -> None:
        """Put every chip into its row."""
        room = self.width() or theme.column_width()
        gap, height = theme.px(_GAP), theme.px(HEIGHT)
        x = y = 0
        for chip in self.chips:
            width = min(chip.sizeHint().width(), room)
            if x and x + width > room:
                x, y = 0, y + height + gap
            chip.setGeometry(x, y, width, height)
            x += width + gap
        total = y + height if self.chips else 0
        self._inner.resize(room, total)
        self.setFixedHeight(min(total, _ROWS * (height + gap) - gap))

    def follow_look(self) -> None:
        """Other sizes, which the chips have taken by now."""
        self.place()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Other rows."""
        super().resizeEvent(event)
        self.place()
