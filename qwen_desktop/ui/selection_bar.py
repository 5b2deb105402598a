"""The bar below the list that says how many conversations are selected, and acts on them."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from qwen_desktop.chat.summary import Place
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import RADIUS, IconButton, Label
from qwen_desktop.ui.list_actions import ListActions
from qwen_desktop.ui.row_menu import FolderMenu, TagMenu, show_above

_BUTTON = 32  # px


class SelectionBar(QWidget):
    """Shown while several rows are selected. `closed`: the selection is to end."""

    closed = Signal()

    def __init__(self, acts: ListActions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("selectionBar")
        self._acts = acts
        self._ids: tuple[str, ...] = ()
        self.label = Label("", 13, bold=True)
        self.close_button = IconButton("close", self.tr("End the selection"), height=28)
        self.pin = self._button("pin", self.tr("Pin or unpin the selected chats"))
        self.folder = self._button("folder", self.tr("Move the selected chats"))
        self.tag = self._button("tag", self.tr("Tag the selected chats"))
        self.archive = self._button("archive", self.tr("Archive the selected chats"))
        self.restore = self._button("restore", self.tr("Restore the selected chats"))
        self.export = self._button("export", self.tr("Export the selected chats"))
        self.delete = self._button("trash", self.tr("Delete the selected chats"))
        head, row = QHBoxLayout(), QHBoxLayout()
        head.addWidget(self.label, 1)
        head.addWidget(self.close_button)
        row.setSpacing(4)
        for button in (
            self.pin,
            self.folder,
            self.tag,
            self.archive,
            self.restore,
            self.export,
            self.delete,
        ):
            row.addWidget(button)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 6, 8, 8)
        column.setSpacing(2)
        column.addLayout(head)
        column.addLayout(row)
        self.close_button.clicked.connect(self.closed)
        self.pin.clicked.connect(lambda: acts.toggle_pinned(self._ids))
        self.folder.clicked.connect(
            lambda: show_above(FolderMenu(self._ids, acts, self), self.folder)
        )
        self.tag.clicked.connect(lambda: show_above(TagMenu(self._ids, acts, self), self.tag))
        self.archive.clicked.connect(
            lambda: acts.set_archived(self._ids, acts.place is not Place.ARCHIVE)
        )
        self.restore.clicked.connect(lambda: acts.restore(self._ids))
        self.export.clicked.connect(lambda: acts.export_requested.emit(self._ids))
        self.delete.clicked.connect(lambda: acts.delete(self._ids))
        self.controls = (
            *(self.pin, self.folder, self.tag, self.archive),
            *(self.restore, self.export, self.delete, self.close_button),
        )
        self.hide()

    def _button(self, icon: str, name: str) -> IconButton:
        return IconButton(icon, name, height=_BUTTON)

    def show_for(self, ids: tuple[str, ...]) -> None:
        """Act on these; hidden for fewer than two."""
        self._ids = ids
        if len(ids) < 2:
            self.hide()
            return
        count = self.locale().toString(len(ids))
        self.label.setText(self.tr("{count} selected").format(count=count))
        in_bin = self._acts.place is Place.BIN
        for button in (self.pin, self.folder, self.tag, self.archive):
            button.setVisible(not in_bin)
        self.restore.setVisible(in_bin)
        name = (
            self.tr("Unarchive the selected chats")
            if self._acts.place is Place.ARCHIVE
            else self.tr("Archive the selected chats")
        )
        self.archive.setAccessibleName(name)
        self.archive.setToolTip(name)
        self.show()

    def event(self, event: QEvent) -> bool:
        """Take Escape from the window's shortcuts."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.key() == Qt.Key.Key_Escape
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape ends the selection."""
        if event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
            return
        super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """A card."""
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(t.line), 1))
        painter.setBrush(QColor(t.background))
        box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(box, RADIUS, RADIUS)
