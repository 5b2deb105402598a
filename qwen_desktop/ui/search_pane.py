"""Searching: what is typed into the field, and what was found in place of the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QModelIndex, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QFocusEvent, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from qwen_desktop.chat.search import Found
from qwen_desktop.ui.controls import IconButton, Label
from qwen_desktop.ui.plain_search import SearchField
from qwen_desktop.ui.row_view import RowView
from qwen_desktop.ui.search_rows import FoundDelegate, FoundList

if TYPE_CHECKING:
    from qwen_desktop.bridge.search import Search

AGAIN_MS = 1500


class FoundView(RowView):
    """The rows. A click or Enter goes there, Escape leaves."""

    accepted = Signal(QModelIndex)
    left = Signal()

    def __init__(self, model: FoundList, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._found = model
        self.setItemDelegate(FoundDelegate(model, self))
        self.setModel(model)
        self.clicked.connect(self.accepted)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width: snippets take more lines or fewer."""
        super().resizeEvent(event)
        self._found.set_width(event.size().width())

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
        """Enter goes to the row with the focus, Escape leaves."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if self.currentIndex().isValid():
                self.accepted.emit(self.currentIndex())
            return
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
            return
        super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Start at the first row."""
        super().focusInEvent(event)
        if not self.currentIndex().isValid() and self.model().rowCount():
            self.setCurrentIndex(self.model().index(0, 0))


class SearchPane(QWidget):
    """What was found. Shown while the field has text.

    Signals: `shown_changed()`, `hit_requested(Hit, words)`, `marks_changed(words)`,
    `left()`: the search was ended from among its results.
    """

    shown_changed = Signal()
    hit_requested = Signal(object, object)
    marks_changed = Signal(object)
    left = Signal()

    def __init__(self, field: SearchField, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("searchPane")
        self._field = field
        self._search: Search | None = None
        self._go = False  # Enter was pressed before anything was found
        self._waiting = False  # for what was typed last
        self._again = QTimer(self)  # while not everything is indexed
        self._again.setSingleShot(True)
        self._again.setInterval(AGAIN_MS)
        self._again.timeout.connect(self._look_again)
        self.list = FoundList(self)
        self.view = FoundView(self.list)
        self.view.setObjectName("found")
        self.view.setAccessibleName(self.tr("Search results"))
        self.count = Label("", 12, dim=True)
        self.count.setObjectName("foundCount")
        self.previous = IconButton("up", self.tr("Previous hit"), height=26)
        self.next = IconButton("down", self.tr("Next hit"), height=26)
        self.hint = Label("", 12, dim=True, wrap=True)
        self.hint.setObjectName("searchHint")
        self.hint.setContentsMargins(16, 4, 8, 4)
        head = QHBoxLayout()
        head.setContentsMargins(16, 0, 0, 0)
        head.setSpacing(0)
        head.addWidget(self.count, 1)
        head.addWidget(self.previous)
        head.addWidget(self.next)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.hint)
        column.addWidget(self.view, 1)
        column.addStretch()  # what is said stays at the top where nothing was found
        field.textChanged.connect(self._on_text)
        field.returnPressed.connect(self._on_return)
        self.view.accepted.connect(self._go_to)
        self.view.left.connect(self._leave)
        self.previous.clicked.connect(lambda: self.step(-1))
        self.next.clicked.connect(lambda: self.step(1))

    def search_by(self, search: Search) -> None:
        """Bring what searches. To be called once."""
        self._search = search
        search.found.connect(self._on_found)
        if self.is_shown:
            self._on_text(self._field.text())

    @property
    def is_shown(self) -> bool:
        """Whether something is looked for."""
        return bool(self._field.text().strip())

    @Slot(str)
    def _on_text(self, text: str) -> None:
        self._go = False
        if self._search is not None:
            self._waiting = True
            self._search.search(text)
        if not self.is_shown:
            self._waiting = False
            self.list.show(Found(""))
            self._tell()
            self.marks_changed.emit(())
        self.shown_changed.emit()

    @Slot()
    def _look_again(self) -> None:
        """More has been indexed by now."""
        if self._search is not None and self.is_shown:
            self._search.search(self._field.text())

    @Slot(object)
    def _on_found(self, found: Found) -> None:
        if found.query.strip() != self._field.text().strip() or not self.is_shown:
            return
        again = found.query.strip() == self.list.found.query.strip()
        self._waiting = False
        row = self.view.currentIndex().row() if again else -1
        if not again:
            self.view.verticalScrollBar().setValue(0)
        self.list.show(found)
        if 0 <= row < self.list.rowCount():
            self.view.setCurrentIndex(self.list.index(row))
        elif self.view.hasFocus():
            self.view.setCurrentIndex(self.list.index(0))
        self._tell()
        if found.unindexed:
            self._again.start()
        if self._go:
            self._go = False
            self._go_to(self.list.index(0))

    # -- what is said about it -------------------------------------------------------------

    def _tell(self) -> None:
        found, hits = self.list.found, self.list.hits
        current = self.view.currentIndex().row()
        count = len(hits)
        more = "+" if found.more or self.list.is_more_in_one else ""
        if current in hits:
            at = hits.index(current) + 1
            words = self.tr("{at} of {count}").format(at=at, count=f"{count}{more}")
        elif not count and not found.words:  # by filters alone
            words = self._chats_text(self.list.rowCount(), found.more)
        elif not count:
            words = self.tr("In titles only")
        elif count == 1 and not more:
            words = self.tr("1 message")
        else:
            words = self.tr("{count} messages").format(
                count=f"{self.locale().toString(count)}{more}"
            )
        self.count.setText(words if found.hits else "")
        for button in (self.previous, self.next):
            button.setVisible(bool(hits))
        self.hint.setText("\n".join(self._hints(found)))
        self.hint.setVisible(bool(self.hint.text()))
        self.view.setVisible(bool(found.hits))

    def _chats_text(self, count: int, more: bool) -> str:
        if count == 1 and not more:
            return self.tr("1 chat")
        number = self.locale().toString(count)
        return self.tr("{count} chats").format(count=f"{number}+" if more else number)

    def _hints(self, found: Found) -> list[str]:
        said = []
        if found.query.strip() and not found.hits:
            said.append(self.tr("Nothing found."))
        if found.unknown:
            said.append(self.tr("Not understood: {what}").format(what=", ".join(found.unknown)))
        if found.query.strip() and not found.hits:
            said.append(self.tr("Filters: model: before: after: tag: role: folder:"))
        if found.unindexed:
            number = self.locale().toString(found.unindexed)
            said.append(self.tr("Still indexing {count} messages").format(count=number))
        return said

    # -- going there -----------------------------------------------------------------------

    @Slot()
    def _on_return(self) -> None:
        if not self.is_shown:
            return
        if self._waiting:
            self._go = True
        elif self.list.rowCount():
            self._go_to(self.list.index(0))

    @Slot(QModelIndex)
    def _go_to(self, index: QModelIndex) -> None:
        row = self.list.row(index)
        if row is None:
            return
        self.view.setCurrentIndex(index)
        self._tell()
        self.hit_requested.emit(row.hit, self.list.found.words)

    def step(self, by: int) -> None:
        """Go to the next hit, or the one before; round at the ends."""
        hits = self.list.hits
        if not hits:
            return
        current = self.view.currentIndex().row()
        if current in hits:
            at = (hits.index(current) + by) % len(hits)
        else:
            behind = [i for i, row in enumerate(hits) if row > current]
            at = (behind[0] if behind else 0) if by > 0 else (behind[0] if behind else 0) - 1
        self._go_to(self.list.index(hits[at]))

    @Slot()
    def _leave(self) -> None:
        self._field.clear()
        self.left.emit()
