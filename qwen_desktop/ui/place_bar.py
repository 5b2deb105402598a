"""Which conversations the list shows: all, a folder, a tag, the archive, the bin.

On the way to the first paint: light; the menu is made when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from qwen_desktop.chat.summary import FOLDER_LENGTH, ListFilter, ListShape, Place
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Button, IconButton

HEIGHT = 30
_OTHER = Qt.FocusReason.OtherFocusReason


class NameField(QLineEdit):
    """A name edited in place. Enter and leaving take it, Escape does not: `left(name or "")`."""

    left = Signal(str)

    def __init__(self, name: str, parent: QWidget) -> None:
        super().__init__(name, parent)
        self._open = True

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
        """Enter and Escape end it."""
        if event.key() == Qt.Key.Key_Escape:
            self._leave("")
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._leave(self.text())
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Going elsewhere keeps what was typed; a menu of the field is not elsewhere."""
        super().focusOutEvent(event)
        if event.reason() != Qt.FocusReason.PopupFocusReason:
            self._leave(self.text())

    def close_unheard(self) -> None:
        """Go, without telling a name."""
        self._open = False
        self.hide()
        self.deleteLater()

    def _leave(self, name: str) -> None:
        if self._open:
            self._open = False
            self.left.emit(name)


def _no_folder(_id: str, _name: str) -> bool:
    return False


class PlaceBar(QWidget):
    """A button with the name of the place, and the way back to all chats.

    Signals: `menu_requested()` under the button, `folder_menu_requested()` under the one with
    the dots, `all_requested()`, `empty_requested()` for the bin. `rename(id, name)` is asked to
    give a folder another name, and says whether it has it now.
    """

    menu_requested = Signal()
    folder_menu_requested = Signal()
    all_requested = Signal()
    empty_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("placeBar")
        self.follow_look()
        self._editor: NameField | None = None
        self.rename: Callable[[str, str], bool] = _no_folder
        self.filter = ListFilter()
        self.back = IconButton("back", self.tr("Back to all chats"), height=HEIGHT)
        self.back.setObjectName("backToAll")
        self.button = Button(kind="plain", height=HEIGHT, align_left=True)
        self.button.setObjectName("place")
        self.more = IconButton("more", self.tr("Folder menu"), height=HEIGHT)
        self.more.setObjectName("folderMenu")
        self.empty = Button(self.tr("Empty bin…"), kind="plain", tint="error", height=HEIGHT)
        self.empty.setObjectName("emptyBin")
        self.empty.setAccessibleName(self.tr("Empty bin"))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.back)
        row.addWidget(self.button, 1)
        row.addWidget(self.more)
        row.addWidget(self.empty)
        self.back.clicked.connect(self.all_requested)
        self.button.clicked.connect(self.menu_requested)
        self.more.clicked.connect(self.folder_menu_requested)
        self.empty.clicked.connect(self.empty_requested)
        self.show_place(ListFilter(), ListShape())

    def follow_look(self) -> None:
        """Another size."""
        self.setFixedHeight(theme.px(HEIGHT))

    def show_place(self, which: ListFilter, shape: ListShape) -> None:
        """Say where one is."""
        if self._editor is not None and which.folder != self.filter.folder:
            editor, self._editor = self._editor, None
            editor.close_unheard()
        self.filter = which
        name = self.place_name(which, shape)
        self.button.setText(f"{name}  ▾")
        self.button.setAccessibleName(self.tr("Shown: {place}").format(place=name))
        self.back.setVisible(which != ListFilter())
        self.more.setVisible(bool(which.folder))
        self.empty.setVisible(which.place is Place.BIN and shape.deleted > 0)

    def place_name(self, which: ListFilter, shape: ListShape) -> str:
        """The name of a place for people."""
        if which.place is Place.ARCHIVE:
            return self.tr("Archive")
        if which.place is Place.BIN:
            return self.tr("Bin")
        folder = next((f.name for f in shape.folders if f.id == which.folder), "")
        if folder:
            return folder
        return self.tr("Tag: {name}").format(name=which.tag) if which.tag else self.tr("All chats")

    def rename_folder(self, name: str) -> None:
        """Let the user type another name in place."""
        if self._editor is None and self.filter.folder:
            self._edit(self.filter.folder, name, name)
            self._editor_focus()

    def _edit(self, folder_id: str, name: str, typed: str) -> None:
        """A field over the name, beginning with what was `typed` already."""
        editor = NameField(typed, self)
        editor.setObjectName("folderEditor")
        editor.setAccessibleName(self.tr("Folder name"))
        editor.setMaxLength(FOLDER_LENGTH)
        editor.setFont(theme.body_font())
        editor.setGeometry(self.button.geometry().adjusted(0, 0, self.more.width(), 0))
        self._editor = editor

        def ended(typed: str) -> None:
            had_focus = editor.hasFocus()
            self._editor = None
            if typed.strip() not in ("", name) and not self.rename(folder_id, typed):
                self._edit(folder_id, name, typed)  # what was typed is not thrown away
            if had_focus:  # Qt would go to the first control of the window
                self.button.setFocus(_OTHER)
                self._editor_focus()
            editor.hide()
            editor.deleteLater()

        editor.left.connect(ended)
        editor.show()

    def _editor_focus(self) -> None:
        if self._editor is not None:
            self._editor.setFocus(_OTHER)
            self._editor.selectAll()
