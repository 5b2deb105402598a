"""Small painted controls that the parts of the window are made of.

Imports no other part of it but the slim scroll bar.

They paint themselves from the current theme: a style sheet for the same look costs more at
start-up than the whole rest of the window, and would reach into the timeline.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QEnterEvent,
    QFocusEvent,
    QFont,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QLabel,
    QProgressBar,
    QSizePolicy,
    QWidget,
)

from qwen_desktop.ui import icons, theme
from qwen_desktop.ui.timeline.scrollbar import THICKNESS, SlimBar

RADIUS = 8
# Margins of the text column: the timeline keeps room for its scroll bar on the right.
COLUMN_LEFT = theme.COLUMN_MARGIN
COLUMN_RIGHT = theme.COLUMN_MARGIN + THICKNESS
ICON = 18  # px
KEYBOARD = (  # how the focus comes by keys
    Qt.FocusReason.TabFocusReason,
    Qt.FocusReason.BacktabFocusReason,
    Qt.FocusReason.ShortcutFocusReason,
)


def focus_ring(painter: QPainter, box: QRectF, radius: float) -> None:
    """A 2 px ring in the accent colour just inside `box`."""
    painter.setPen(QPen(QColor(theme.current().accent), 2))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(box.adjusted(1, 1, -1, -1), radius - 1, radius - 1)


def half(rect: QRect) -> QRectF:
    """Half a pixel inwards, so that a 1 px line is sharp."""
    return QRectF(rect).adjusted(0.5, 0.5, -0.5, -0.5)


def plain_tip(text: str) -> str:
    """A tooltip that reads as `text`: Qt takes what looks like markup for it, pictures included."""
    if "<" not in text:
        return text
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<p>{text}</p>"


class Button(QAbstractButton):
    """A button with an icon, a text or both.

    `kind`: outline (a line around it), plain (seen on hover), primary (accent), tinted (a line
    and text in `tint`, a colour name of the theme), bare (only the tint). A click does not take
    the focus away from where the user types; Tab reaches the button all the same.
    """

    padding = 13  # px on each side of the text

    def __init__(
        self,
        text: str = "",
        *,
        icon: str = "",
        kind: str = "outline",
        tint: str = "text",
        height: int = 34,
        align_left: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.kind = kind
        self.tint = tint
        self._icon = icon
        self._align_left = align_left
        self._height = height  # at 100 %
        self._ring = False
        self.setText(text)
        self.setFont(theme.body_font(self._pixels))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.ArrowCursor)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def setText(self, text: str) -> None:
        """Show `text`; also what a screen reader says until a name is set."""
        super().setText(text)
        self.updateGeometry()
        self.update()

    def set_icon(self, icon: str) -> None:
        """Show another icon."""
        self._icon = icon
        self.update()

    @property
    def _pixels(self) -> int:
        return 14 if self._height >= 32 else 13

    def follow_look(self) -> None:
        """Other fonts and sizes."""
        self.setFont(theme.body_font(self._pixels))
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        """The text, its margins and the icon."""
        height = theme.px(self._height)
        if not self.text():
            return QSize(height, height)
        width = self.fontMetrics().horizontalAdvance(self.text()) + 2 * theme.px(self.padding)
        return QSize(width + (theme.px(ICON) + 8 if self._icon else 0), height)

    def minimumSizeHint(self) -> QSize:
        """A text may be cut off where there is no room."""
        return QSize(theme.px(self._height), theme.px(self._height))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter presses the button too, as Space does."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
            return
        super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show the ring only to who came by keyboard."""
        self._ring = event.reason() in KEYBOARD
        super().focusInEvent(event)

    def enterEvent(self, event: QEnterEvent) -> None:
        """Hover."""
        self.update()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """No hover."""
        self.update()
        super().leaveEvent(event)

    def _colours(self) -> tuple[str | None, str | None, str]:
        """Fill, line and text."""
        t = theme.current()
        hover = self.underMouse() and self.isEnabled()
        if self.kind == "primary":
            return (t.accent, None, t.on_accent) if self.isEnabled() else (t.track, None, t.dim)
        if self.kind == "plain":
            return t.line if hover else None, None, getattr(t, self.tint)
        if self.kind in ("tinted", "bare"):
            tint = getattr(t, self.tint)
            return None, tint if self.kind == "tinted" else None, tint
        text = t.text if self.isEnabled() else t.dim
        return t.background, t.field_border if hover else t.line, text

    def paintEvent(self, event: QPaintEvent) -> None:
        """Fill, line, icon, text, ring."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        fill, line, colour = self._colours()
        box = half(self.rect())
        if fill or line:
            painter.setPen(QPen(QColor(line), 1) if line else Qt.PenStyle.NoPen)
            painter.setBrush(QColor(fill) if fill else Qt.BrushStyle.NoBrush)
            painter.setOpacity(0.85 if self.isDown() else 1.0)
            painter.drawRoundedRect(box, RADIUS, RADIUS)
            painter.setOpacity(1.0)
        self._paint_content(painter, colour)
        if self.hasFocus() and self._ring:
            focus_ring(painter, QRectF(self.rect()), RADIUS)

    def _paint_content(self, painter: QPainter, colour: str) -> None:
        text = self.text()
        icon = theme.px(ICON)
        room = self.width() - 2 * (theme.px(self.padding) - 3) - (icon + 8 if self._icon else 0)
        shown = self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, max(room, 0))
        width = self.fontMetrics().horizontalAdvance(shown)
        if self._icon:
            width += icon + (8 if text else 0)
        x = float(theme.px(12)) if self._align_left else (self.width() - width) / 2
        if self._icon:
            box = self._middle(ICON)
            box.moveLeft(x)
            icons.draw(painter, self._icon, box, colour)
            x += icon + 8
        painter.setPen(QColor(colour))
        painter.setFont(self.font())
        painter.drawText(
            QRectF(x, 0, self.width() - x, self.height()),
            Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft,
            shown,
        )

    def _middle(self, size: int) -> QRectF:
        """A square of `size` px at 100 % in the middle of the button."""
        side = float(theme.px(size))
        return QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)


class IconButton(Button):
    """A square button that shows only an icon; `name` is what it does."""

    def __init__(
        self, icon: str, name: str, *, height: int = 32, parent: QWidget | None = None
    ) -> None:
        super().__init__(icon=icon, kind="plain", tint="dim", height=height, parent=parent)
        self.setAccessibleName(name)
        self.setToolTip(name)
        self.setFixedSize(theme.px(height), theme.px(height))

    def follow_look(self) -> None:
        """Another size."""
        super().follow_look()
        self.setFixedSize(theme.px(self._height), theme.px(self._height))


class Label(QLabel):
    """Plain text in a size, weight and palette role; never rich text."""

    def __init__(
        self,
        text: str = "",
        pixels: int = 14,
        *,
        dim: bool = False,
        bold: bool = False,
        wrap: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(text, parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self._pixels = pixels  # at 100 %
        self._weight = QFont.Weight.DemiBold if bold else QFont.Weight.Normal
        self.setFont(theme.body_font(pixels, self._weight))
        self.setWordWrap(wrap)
        if dim:
            self.setForegroundRole(QPalette.ColorRole.PlaceholderText)

    def follow_look(self) -> None:
        """Another font."""
        self.setFont(theme.body_font(self._pixels, self._weight))
        self.updateGeometry()


class TintedLabel(Label):
    """A label in any colour of the theme, by name."""

    def __init__(
        self,
        text: str = "",
        pixels: int = 14,
        *,
        tint: str = "text",
        bold: bool = False,
        wrap: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(text, pixels, bold=bold, wrap=wrap, parent=parent)
        self.tint = tint

    def paintEvent(self, event: QPaintEvent) -> None:
        """The text in the colour the theme has now."""
        painter = QPainter(self)
        painter.setPen(QColor(getattr(theme.current(), self.tint)))
        flags = int(self.alignment())
        if self.wordWrap():
            flags |= int(Qt.TextFlag.TextWordWrap)
        painter.drawText(self.contentsRect(), flags, self.text())


class ElidedLabel(Label):
    """One line, cut off with an ellipsis; the whole text is the tooltip when it is cut."""

    elide = Qt.TextElideMode.ElideRight

    def minimumSizeHint(self) -> QSize:
        """May shrink to nothing."""
        return QSize(0, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw what fits."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        shown = self.fontMetrics().elidedText(self.text(), self.elide, self.width())
        painter.drawText(self.rect(), self.alignment(), shown)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Offer the tooltip where it is needed."""
        super().resizeEvent(event)
        self._update_tip()

    def setText(self, text: str) -> None:
        """Show `text`."""
        super().setText(text)
        self._update_tip()

    def _update_tip(self) -> None:
        cut = self.fontMetrics().horizontalAdvance(self.text()) > self.width()
        self.setToolTip(plain_tip(self.text()) if cut else "")


class Column(QWidget):
    """As wide as the text column of the conversation, where there is room for it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.follow_look()

    def follow_look(self) -> None:
        """Another width of the column."""
        self.setMaximumWidth(theme.column_width())


class Line(QWidget):
    """A 1 px separator; horizontal unless `vertical`."""

    def __init__(self, *, vertical: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        if vertical:
            self.setFixedWidth(1)
        else:
            self.setFixedHeight(1)
        self.setBackgroundRole(QPalette.ColorRole.Mid)
        self.setAutoFillBackground(True)


class Bar(QProgressBar):
    """A 4 px progress bar; `colour` is a colour name of the theme."""

    STEPS = 1000  # byte counts do not fit the int range of QProgressBar

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.colour = "accent"
        self.setRange(0, self.STEPS)
        self.setTextVisible(False)
        self.setFixedHeight(4)

    def set_share(self, done: float, total: float) -> None:
        """Fill `done` / `total` of it; nothing where the total is unknown."""
        share = min(done / total, 1.0) if total > 0 else 0.0
        self.setValue(round(share * self.STEPS))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Track and filled part."""
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(t.track))
        painter.drawRoundedRect(self.rect(), 2, 2)
        if width := self.width() * self.value() / self.STEPS:
            painter.setBrush(QColor(getattr(t, self.colour)))
            painter.drawRoundedRect(QRectF(0, 0, max(width, 4.0), self.height()), 2, 2)


class ScrollBar(SlimBar):
    """The slim bar in the colour of the current theme."""

    def __init__(self, orientation: Qt.Orientation, parent: QWidget) -> None:
        super().__init__(orientation, parent)
        self.set_colour(theme.current().field_border)

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self.set_colour(theme.current().field_border)


class Surface(QWidget):
    """A widget filled with one colour of the theme, by name."""

    def __init__(self, colour: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.colour = colour

    def paintEvent(self, event: QPaintEvent) -> None:
        """The fill."""
        painter = QPainter(self)
        # Not fillRect: to find its overload PySide makes an enumeration of 180 gradients, 10 ms.
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(getattr(theme.current(), self.colour)))
        painter.drawRect(event.rect())


def dot(painter: QPainter, centre: QPointF, radius: float, colour: str) -> None:
    """A filled circle."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    painter.drawEllipse(centre, radius, radius)
