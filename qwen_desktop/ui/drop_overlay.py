"""What is shown over the window while something is dragged over it."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from PySide6.QtCore import QMimeData, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from qwen_desktop.ui import icons, theme

_ICON = 40


class Drop(Enum):
    """What is dragged over the window."""

    FOLDER = "folder"  # of a checkpoint, or of conversations
    FILE = "file"
    FILES = "files"
    MIXED = "mixed"  # a folder and more
    NOTHING = "nothing"  # that lies on this machine

    @property
    def welcome(self) -> bool:
        """Whether a drop does something."""
        return self not in (Drop.MIXED, Drop.NOTHING)


def local_paths(data: QMimeData) -> tuple[Path, ...]:
    """The files and folders in a drag; none where one of them is not of this machine."""
    urls = data.urls()
    if not all(url.isLocalFile() for url in urls):
        return ()
    return tuple(Path(url.toLocalFile()) for url in urls)


def drop_of(paths: tuple[Path, ...]) -> Drop:
    """What a drag of `paths` is."""
    if not paths:
        return Drop.NOTHING
    if len(paths) == 1:
        return Drop.FOLDER if paths[0].is_dir() else Drop.FILE
    return Drop.MIXED if any(path.is_dir() for path in paths) else Drop.FILES


class DropOverlay(QWidget):
    """Covers the window; lets every event through to it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._window = parent
        self.setObjectName("dropOverlay")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._drop = Drop.NOTHING
        self.hide()

    @property
    def accepts(self) -> bool:
        """Whether a drop would do something."""
        return self._drop.welcome

    @property
    def text(self) -> str:
        """What it says."""
        return {
            Drop.FOLDER: self.tr("Drop to open this folder"),
            Drop.FILE: self.tr("Drop to open this conversation"),
            Drop.FILES: self.tr("Drop to import these files"),
            Drop.MIXED: self.tr("Only files of conversations or one folder can be dropped here"),
            Drop.NOTHING: self.tr("Only files and folders of this computer can be dropped here"),
        }[self._drop]

    def show_for(self, drop: Drop) -> None:
        """Show it for a drag."""
        self._drop = drop
        self.setGeometry(self._window.rect())
        self.setAccessibleName(self.text)
        self.show()
        self.raise_()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """A veil, a line and the words."""
        t = theme.current()
        colour = t.accent if self.accepts else t.error
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        veil = QColor(t.background)
        veil.setAlphaF(0.9)
        painter.fillRect(self.rect(), veil)
        painter.setPen(QPen(QColor(colour), 2, Qt.PenStyle.DashLine))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(16, 16, -16, -16), 16, 16)
        middle = QRectF(self.rect()).center()
        box = QRectF(middle.x() - _ICON / 2, middle.y() - _ICON - 4, _ICON, _ICON)
        icon = "folder" if self._drop is Drop.FOLDER else "import"
        icons.draw(painter, icon if self.accepts else "close", box, colour)
        painter.setPen(QColor(t.text))
        painter.setFont(theme.body_font(18, QFont.Weight.DemiBold))
        painter.drawText(
            QRectF(0, middle.y() + 8, self.width(), theme.px(32)),
            Qt.AlignmentFlag.AlignHCenter,
            self.text,
        )
