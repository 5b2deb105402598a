"""The field a message is typed in: grows from 1 to 8 lines, knows input methods, takes 1 MB.

A paragraph of a million characters takes half a second to lay out at every key. Very long ones
are therefore cut for display with `BREAK`, which reading and copying take out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from PySide6.QtCore import QElapsedTimer, QEvent, QMimeData, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QDropEvent,
    QFocusEvent,
    QGuiApplication,
    QInputMethodEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPalette,
    QResizeEvent,
    QTextBlock,
)
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QSizePolicy, QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import ScrollBar

MOST_LINES = 8
LONG_PARAGRAPH = 10_000  # characters; longer ones are cut
PIECE = 2_000
# Two invisible characters and a line end: nothing that a person types or pastes.
BREAK = "\u2060\u200b\n"
COMMIT_GUARD_MS = 200
_PASTE_AS_TEXT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier


def with_breaks(text: str) -> str:
    """`text` with every very long paragraph cut into pieces."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) <= LONG_PARAGRAPH:
        return text
    return "\n".join(
        BREAK.join(line[i : i + PIECE] for i in range(0, len(line), PIECE))
        if len(line) > LONG_PARAGRAPH
        else line
        for line in text.split("\n")
    )


def without_breaks(text: str) -> str:
    """What was typed, without the cuts."""
    return text.replace(BREAK, "")


def _no_key(_event: QKeyEvent) -> bool:
    return False


def _no_menu(_event: QContextMenuEvent) -> bool:
    return False


class MessageEdit(QPlainTextEdit):
    """Enter asks to submit, Shift+Enter starts a new line; only plain text comes in."""

    submitted = Signal()
    large_pasted = Signal(str)  # instead of coming in, where it is longer than `paste_limit`
    files_pasted = Signal(object)  # list[Path]
    height_changed = Signal()
    focus_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.paste_limit = 0  # characters; 0 for none
        self.takes_files = False
        self.takes_key: Callable[[QKeyEvent], bool] = _no_key  # asked before the field takes it
        self.wants_escape: Callable[[], bool] = bool  # else it is the window's
        self.takes_menu: Callable[[QContextMenuEvent], bool] = _no_menu  # asked for another menu
        self._dropping = False
        self._composing = False
        self._committed = False  # a composition just ended; its Enter may still come
        self._since_commit = QElapsedTimer()
        self._lines_height = -1
        self.setFont(theme.body_font())
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.document().setDocumentMargin(0)
        clear = self.palette()
        clear.setColor(QPalette.ColorRole.Base, QColor(Qt.GlobalColor.transparent))
        self.setPalette(clear)
        self.textChanged.connect(self._fit)

    def follow_look(self) -> None:
        """Another font."""
        self.setFont(theme.body_font())
        self._fit()

    # -- text ------------------------------------------------------------------------------

    def toPlainText(self) -> str:
        """What was typed, without the cuts."""
        return without_breaks(super().toPlainText())

    def setPlainText(self, text: str) -> None:
        """Replace everything; the cursor goes to the end. Undo cannot go back behind this."""
        super().setPlainText(with_breaks(text))
        from PySide6.QtGui import QTextCursor

        self.moveCursor(QTextCursor.MoveOperation.End)

    def setPlaceholderText(self, text: str) -> None:
        """Show `text` while nothing is typed. Qt alone repaints only when that begins or ends."""
        super().setPlaceholderText(text)
        self.update()

    def is_blank(self) -> bool:
        """Whether there is nothing but white space; cheap for any length."""
        block = self.document().begin()
        while block.isValid():
            if block.text().strip():
                return False
            block = block.next()
        return True

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        """Text only. Files go to the window, which knows folders."""
        if source.hasUrls() and any(url.isLocalFile() for url in source.urls()):
            return False
        return source.hasText()

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Paste or drop as plain text."""
        files = [Path(url.toLocalFile()) for url in source.urls() if url.isLocalFile()]
        if files and self.takes_files:
            self.files_pasted.emit(files)
        elif source.hasText():
            text = source.text()
            if 0 < self.paste_limit < len(text) and not self._dropping:
                self.large_pasted.emit(text)
            else:
                self.insert(text)

    def insert(self, text: str) -> None:
        """Put `text` in place of what is selected, or at the cursor. Can be undone."""
        self.textCursor().insertText(with_breaks(text))
        self.ensureCursorVisible()

    def dropEvent(self, event: QDropEvent) -> None:
        """What is dropped comes in, however long it is: it may be moved within the field."""
        self._dropping = True
        try:
            super().dropEvent(event)
        finally:
            self._dropping = False

    def createMimeDataFromSelection(self) -> QMimeData:
        """Copy as plain text, without the cuts."""
        data = QMimeData()
        data.setText(without_breaks(self.textCursor().selection().toPlainText()))
        return data

    def visible_blocks(self) -> Iterator[QTextBlock]:
        """The paragraphs that are seen, at least in part."""
        block = self.firstVisibleBlock()
        top = self.contentOffset().y()
        while block.isValid() and top <= self.viewport().height():
            yield block
            top += self.blockBoundingRect(block).height()
            block = block.next()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """The usual menu, unless another one is shown."""
        if not self.takes_menu(event):
            super().contextMenuEvent(event)

    # -- keys and input methods --------------------------------------------------------------

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        """Follow the composition: the Enter that ends one must not send.

        Some input methods deliver that Enter after the commit (ibus in its synchronous mode,
        some on Windows), when there is no composition any more. So after a commit one Enter is
        swallowed, until a key is released, another key is pressed or a moment has passed.
        """
        was_composing = self._composing
        self._composing = bool(event.preeditString())
        if was_composing and not self._composing:
            self._committed = True
            self._since_commit.start()
        super().inputMethodEvent(event)
        self._fit()

    def event(self, event: QEvent) -> bool:
        """Take Escape from the window's shortcuts where it is wanted here, and leave it Redo
        where there is nothing to do again: its key undoes deleting as well.
        """
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.matches(QKeySequence.StandardKey.Redo)
            and not self.document().isRedoAvailable()
        ):
            event.ignore()
            return False
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.key() == Qt.Key.Key_Escape
            and self.wants_escape()
        ):
            event.accept()
            return True
        if (
            event.type() == QEvent.Type.KeyPress
            and isinstance(event, QKeyEvent)
            and event.key() == Qt.Key.Key_Tab
            and self.takes_key(event)
        ):  # else it goes to the next control before the field sees it
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter submits unless it belongs to a composition; everything else is editing."""
        enters = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if not self._composing and not (enters and self._committed) and self.takes_key(event):
            event.accept()
            return
        if event.key() == Qt.Key.Key_V and event.modifiers() == _PASTE_AS_TEXT:
            self.insert(QGuiApplication.clipboard().text())
            return
        if event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._committed = False
            super().keyPressEvent(event)
            return
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._committed = False
            # Qt would insert a line separator; a message has plain line ends.
            self.textCursor().insertText("\n")
            self.ensureCursorVisible()
            return
        event.accept()
        if self._composing or self._takes_commit_key() or event.isAutoRepeat():
            return
        self.submitted.emit()

    def _takes_commit_key(self) -> bool:
        taken = self._committed and self._since_commit.elapsed() < COMMIT_GUARD_MS
        self._committed = False
        return taken

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """The key that ended a composition is up again."""
        if not event.isAutoRepeat():
            self._committed = False
        super().keyReleaseEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click ends waiting for the key of a commit."""
        self._committed = False
        super().mousePressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """The box around shows the focus."""
        super().focusInEvent(event)
        self.focus_changed.emit(True)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """A composition ends with the focus."""
        self._composing = self._committed = False
        super().focusOutEvent(event)
        self.focus_changed.emit(False)

    # -- height ----------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width wraps otherwise."""
        super().resizeEvent(event)
        self._fit()

    def sizeHint(self) -> QSize:
        """As high as its lines."""
        return QSize(400, self.height())

    def minimumSizeHint(self) -> QSize:
        """Any width will do."""
        return QSize(80, self.height())

    def _fit(self) -> None:
        line = self.fontMetrics().lineSpacing()
        most = line * MOST_LINES
        layout = self.document().documentLayout()
        height = 0.0
        block = self.document().begin()
        while block.isValid() and height < most:  # never lays out more than is seen
            height += layout.blockBoundingRect(block).height()
            block = block.next()
        wanted = round(min(max(height, line), most)) + 2
        bars = Qt.ScrollBarPolicy
        self.setVerticalScrollBarPolicy(
            bars.ScrollBarAsNeeded if height >= most else bars.ScrollBarAlwaysOff
        )
        if wanted != self._lines_height:
            self._lines_height = wanted
            self.setFixedHeight(wanted)
            self.height_changed.emit()
