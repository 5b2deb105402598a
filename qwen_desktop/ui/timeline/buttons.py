"""Small text buttons of the timeline: quiet ones that show on hover, pills, coloured ones."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QLocale, QPoint, QRect, QSize, Qt, QTimer
from PySide6.QtGui import (
    QColor,
    QGuiApplication,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QAbstractButton, QWidget

from qwen_desktop.ui.theme import Theme, px
from qwen_desktop.ui.timeline.labels import advance, small_font
from qwen_desktop.ui.timeline.shared import Shared


def button_height() -> int:
    """Of the buttons under a message, in px."""
    return px(24)


class TextButton(QAbstractButton):
    """A button of text alone, reached with Tab; a click leaves the focus where it was."""

    radius = 6.0  # px

    def __init__(self, shared: Shared, parent: QWidget, text: str, name: str) -> None:
        super().__init__(parent)
        self._shared = shared
        self._quiet = False
        self._outlined = False
        self._revealed = True
        self.setText(text)
        self.setAccessibleName(name)
        self.setFont(small_font())
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def follow_look(self) -> None:
        """Other fonts and sizes."""
        self.setFont(small_font())
        self.updateGeometry()

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
        return QSize(advance(self.text()) + px(16), button_height())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter presses the button too, as Space does."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
            return
        super().keyPressEvent(event)

    def colours(self, theme: Theme) -> tuple[str, str | None, str | None]:
        """Text, fill and border."""
        border = theme.field_border if self._outlined else None
        hovered = self.underMouse() and self.isEnabled()
        return theme.text if hovered else theme.dim, None, border

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Text, hover tint, focus ring."""
        if self._quiet and not (self._revealed or self.hasFocus()):
            return
        theme = self._shared.theme
        text, fill, border = self.colours(theme)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.isEnabled():
            painter.setOpacity(0.5)
        box = self.rect().toRectF().adjusted(1, 1, -1, -1)
        radius = self.radius
        if fill is None and self.isEnabled() and (self.underMouse() or self.isDown()):
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
        shown = self.text()
        if advance(shown) > self.width():
            elided = Qt.TextElideMode.ElideRight
            shown = self.fontMetrics().elidedText(shown, elided, self.width() - 8)
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, shown)


class TintedButton(TextButton):
    """On a card, in its colour: the one of the theme called `tint`."""

    def __init__(
        self, shared: Shared, parent: QWidget, text: str, name: str, tint: str = "error"
    ) -> None:
        super().__init__(shared, parent, text, name)
        self._tint = tint

    def set_tint(self, tint: str) -> None:
        """Another colour of the theme."""
        self._tint = tint
        self.update()

    def colours(self, theme: Theme) -> tuple[str, str | None, str | None]:
        """Text and border alike."""
        colour: str = getattr(theme, self._tint)
        return colour, None, colour


class ToggleButton(TextButton):
    """On or off; in the accent colour while it is on."""

    def __init__(self, shared: Shared, parent: QWidget, text: str, name: str) -> None:
        super().__init__(shared, parent, text, name)
        self.setCheckable(True)

    def colours(self, theme: Theme) -> tuple[str, str | None, str | None]:
        """The accent while it is on."""
        text, fill, border = super().colours(theme)
        return theme.accent if self.isChecked() else text, fill, border


class RevealButton(TextButton):
    """Shows more of a long message."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(shared, parent, "", "")
        self.set_outlined(True)

    def show_left(self, left: int, at_once: int = 0) -> None:
        """Say how many characters are left; without any it hides itself.

        `at_once`: so many are shown by one press.
        """
        self.setVisible(left > 0)
        if left > at_once:
            text = self.tr("Show more (%1 characters left)").replace("%1", QLocale().toString(left))
        else:
            text = self.tr("Show all")
        self.setText(text)
        self.setAccessibleName(text)


class AccentButton(TextButton):
    """What Enter does."""

    def colours(self, theme: Theme) -> tuple[str, str | None, str | None]:
        """Filled with the accent."""
        return theme.on_accent, theme.accent, None


class PinButton(TextButton):
    """Pins a message or takes the pin away; as wide as the longer word, so that nothing moves."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(shared, parent, "", self.tr("Pin message"))
        self._words = (self.tr("Pin"), self.tr("Unpin"))
        self.setText(self._words[0])
        self.setToolTip(self.tr("A pinned message is never left out of what the model is shown."))

    def set_pinned(self, pinned: bool) -> None:
        """Offer the other of the two."""
        if self.text() != self._words[pinned]:
            self.setText(self._words[pinned])
            self.setAccessibleName(self.tr("Unpin message") if pinned else self.tr("Pin message"))

    def sizeHint(self) -> QSize:
        """Room for both words."""
        return QSize(max(map(advance, self._words)) + px(16), button_height())


class MoreButton(TextButton):
    """Opens the menu of everything that can be done with a message."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(shared, parent, "⋯", self.tr("More actions"))
        self.setToolTip(self.tr("More actions"))

    def ask(self, message_id: str) -> None:
        """Ask for the menu below the button."""
        self._shared.menu_requested.emit(message_id, self.mapToGlobal(QPoint(0, self.height())))


class PillButton(TextButton):
    """Floats above the text."""

    radius = 15.0

    def sizeHint(self) -> QSize:
        """Roomier than the others."""
        size = super().sizeHint()
        return QSize(size.width() + px(16), px(32))

    def colours(self, theme: Theme) -> tuple[str, str | None, str | None]:
        """Opaque."""
        return theme.text, theme.panel, theme.field_border


class CopyButton(TextButton):
    """Says for two seconds that it has copied."""

    def __init__(self, shared: Shared, parent: QWidget, name: str) -> None:
        super().__init__(shared, parent, "", name)
        self._words = (self.tr("Copy"), self.tr("Copied"))
        self.setText(self._words[0])
        self._back: QTimer | None = None

    def sizeHint(self) -> QSize:
        """Wide enough for both texts, so that nothing moves."""
        return QSize(max(map(advance, self._words)) + px(16), button_height())

    def copy(self, text: str) -> None:
        """Put `text` on the clipboard and say so."""
        QGuiApplication.clipboard().setText(text)
        self.setText(self._words[1])
        if self._back is None:
            self._back = QTimer(self)
            self._back.setSingleShot(True)
            self._back.setInterval(2000)
            self._back.timeout.connect(self._reset)
        self._back.start()

    def _reset(self) -> None:
        self.setText(self._words[0])


def flow(buttons: Sequence[QWidget], x: int, y: int, left: int, right: int) -> int:
    """Place `buttons` from (`x`, `y`) on, further lines from `left`; returns where they end."""
    for button in buttons:
        width = min(button.sizeHint().width(), right - left)
        if x + width > right and x > left:
            x, y = left, y + button_height() + 4
        button.setGeometry(QRect(x, y, width, button_height()))
        x += width + 4
    return y + button_height()


def row_width(buttons: Sequence[QWidget]) -> int:
    """How wide `buttons` are on one line."""
    return sum(button.sizeHint().width() + 4 for button in buttons) - 4 if buttons else 0
