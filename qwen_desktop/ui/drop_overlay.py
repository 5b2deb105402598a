"""What is shown over the window while something is dragged over it."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from PySide6.QtCore import QMimeData, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from qwen_desktop.ui import icons, theme

_ICON = 40
_ARCHIVES = {".zip", ".qwenprofile"}  # never text
_CONVERSATIONS = {".json", ".jsonl", ".ndjson", *_ARCHIVES}  # what they hold decides


class Drop(Enum):
    """What is dragged over the window."""

    FOLDER = "folder"  # of a checkpoint, or of conversations
    FILE = "file"
    FILES = "files"
    ATTACHED = "attached"  # one or more that are certainly no conversations
    EITHER = "either"  # one or more, attached unless they hold conversations
    MIXED = "mixed"  # a folder and more
    NOTHING = "nothing"  # that lies on this machine

    @property
    def welcome(self) -> bool:
        """Whether a drop does something."""
        return self not in (Drop.MIXED, Drop.NOTHING)

    @property
    def attaches(self) -> bool:
        """Whether files are for the draft, at least those that hold no conversation."""
        return self in (Drop.ATTACHED, Drop.EITHER)


def local_paths(data: QMimeData) -> tuple[Path, ...]:
    """The files and folders in a drag; none where one of them is not of this machine."""
    urls = data.urls()
    if not all(url.isLocalFile() for url in urls):
        return ()
    return tuple(Path(url.toLocalFile()) for url in urls)


def drop_of(paths: tuple[Path, ...], *, attach: bool = False) -> Drop:
    """What a drag of `paths` is; with `attach` files are for the draft."""
    if not paths:
        return Drop.NOTHING
    if len(paths) == 1 and paths[0].is_dir():
        return Drop.FOLDER
    if any(path.is_dir() for path in paths):
        return Drop.MIXED
    endings = {path.suffix.lower() for path in paths}
    if not attach or endings <= _ARCHIVES:
        return Drop.FILE if len(paths) == 1 else Drop.FILES
    return Drop.EITHER if endings & _CONVERSATIONS else Drop.ATTACHED


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
            Drop.FILE: self.tr("Drop to open this chat"),
            Drop.FILES: self.tr("Drop to import these files"),
            Drop.ATTACHED: self.tr("Drop to attach"),
            Drop.EITHER: self.tr("Drop to attach; a chat is opened"),
            Drop.MIXED: self.tr("Only chat files or one folder can be dropped here"),
            Drop.NOTHING: self.tr("Only files and folders of this computer can be dropped here"),
        }[self._drop]

    def show_for(self, drop: Drop) -> None:
        """Show it for a drag."""
        if drop is self._drop and self.isVisible():
            return
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
        if self._drop.attaches:
            icon = "clip"
        icons.draw(painter, icon if self.accepts else "close", box, colour)
        painter.setPen(QColor(t.text))
        painter.setFont(theme.body_font(18, QFont.Weight.DemiBold))
        painter.drawText(
            QRectF(0, middle.y() + 8, self.width(), theme.px(32)),
            Qt.AlignmentFlag.AlignHCenter,
            self.text,
        )
