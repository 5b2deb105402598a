"""Footnotes: from a reference to its note and back, within one message."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen, QTextCursor
from PySide6.QtWidgets import QAbstractButton, QWidget

from qwen_desktop.ui.controls import plain_tip
from qwen_desktop.ui.theme import body_font, line_height
from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.markdown import NOTE
from qwen_desktop.ui.timeline.shared import Shared


class NoteButton(QAbstractButton):
    """The name of a note beside it, small and cut where it is long; it leads back to the text."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(parent)
        self._shared = shared
        self.label = ""
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.clicked.connect(lambda: shared.note_left.emit(self, self.label))

    def set_label(self, label: str) -> None:
        """Show the name of a note."""
        if label != self.label:
            self.label = label
            said = self.tr("Back to the reference of footnote %1").replace("%1", label)
            self.setAccessibleName(said)
            self.setToolTip(plain_tip(said))
            self.update()

    def sizeHint(self) -> QSize:
        """One line."""
        return QSize(line_height(), line_height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The name, brighter under the pointer."""
        theme, font = self._shared.theme, body_font(11)
        painter = QPainter(self)
        name = QFontMetrics(font).elidedText(
            self.label, Qt.TextElideMode.ElideRight, self.width() - 2
        )
        painter.setFont(font)
        painter.setPen(QColor(theme.text if self.underMouse() else theme.accent))
        place = QRect(2, 0, self.width() - 2, self.height())
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, name)
        if self.hasFocus():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(theme.accent), 2))
            painter.drawRoundedRect(self.rect().toRectF().adjusted(1, 1, -1, -1), 4, 4)


def note_buttons(root: QWidget, label: str) -> list[NoteButton]:
    """The buttons of all notes with that name within `root`."""
    found = (one for one in root.findChildren(NoteButton) if one.label == label)
    return [one for one in found if not one.isHidden()]


def reference(leaf: Leaf, label: str) -> tuple[int, int] | None:
    """Where a text refers to a note first, as [begin, end); None where it does not."""
    block = leaf.document().begin()
    while block.isValid():
        pieces = block.begin()
        while not pieces.atEnd():
            piece = pieces.fragment()
            if piece.charFormat().anchorHref() == NOTE + label:
                return piece.position(), piece.position() + piece.length()
            pieces += 1
        block = block.next()
    return None


def focus_reference(leaf: Leaf, span: tuple[int, int]) -> None:
    """Give the focus of the keyboard to a reference."""
    cursor = QTextCursor(leaf.document())
    cursor.setPosition(span[0])
    cursor.setPosition(span[1], QTextCursor.MoveMode.KeepAnchor)
    leaf.setFocus(Qt.FocusReason.OtherFocusReason)
    leaf.setTextCursor(cursor)
