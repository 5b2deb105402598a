"""The left side: New chat, search, the conversations by day, Settings. Imports the list only."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QAction, QFocusEvent, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QListView,
    QMenu,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.chat.summary import Summary
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Button, Label, SearchField, Surface
from qwen_desktop.ui.conversation_list import ID_ROLE, ConversationList, RowDelegate
from qwen_desktop.ui.rows import make_plain


class ConversationView(QListView):
    """The list. A click or Enter opens a row; the arrows only move the focus."""

    opened = Signal(QModelIndex)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        make_plain(self)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.clicked.connect(self.opened)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter opens the row with the focus."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if self.currentIndex().isValid():
                self.opened.emit(self.currentIndex())
            return
        super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Start at the shown conversation rather than at a header."""
        super().focusInEvent(event)
        model = self.model()
        if isinstance(model, ConversationList) and not self.currentIndex().data(ID_ROLE):
            start = model.index_of(model.open_id)
            self.setCurrentIndex(start if start.isValid() else model.index(1))


class Sidebar(Surface):
    """Signals say what the user asks for; nothing changes here before it happened."""

    new_requested = Signal()
    open_requested = Signal(str)
    rename_requested = Signal(str, str)
    delete_requested = Signal(str)
    settings_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("sidebar", parent)
        self.setObjectName("sidebar")
        self._held: tuple[Summary, ...] | None = None  # came while a title was edited
        self._editing = False

        self.new_button = Button(self.tr("New chat"), icon="plus", align_left=True)
        self.new_button.setObjectName("newChat")
        self.new_button.setAccessibleName(self.tr("New chat"))
        self.search = SearchField(self.tr("Search conversations"))
        self.search.setObjectName("search")
        self.list = ConversationList(self)
        self.view = ConversationView()
        self.view.setObjectName("conversations")
        self.view.setAccessibleName(self.tr("Conversations"))
        self.view.setModel(self.list)
        delegate = RowDelegate(self.view)
        self.view.setItemDelegate(delegate)
        self.nothing = Label(self.tr("No conversation matches."), 12, dim=True, wrap=True)
        self.nothing.setObjectName("noMatch")
        self.nothing.setContentsMargins(16, 8, 8, 8)
        self.nothing.hide()
        self.settings_button = Button(
            self.tr("Settings"), icon="gear", kind="plain", align_left=True
        )
        self.settings_button.setObjectName("settings")
        self.settings_button.setAccessibleName(self.tr("Settings"))

        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        for widget in (self.new_button, self.search, self.nothing):
            column.addWidget(widget)
        column.addWidget(self.view, 1)
        column.addWidget(self.settings_button)

        self.rename_action = self._row_action(self.tr("Rename"), Qt.Key.Key_F2, self._rename)
        self.delete_action = self._row_action(self.tr("Delete"), Qt.Key.Key_Delete, self._delete)
        self.new_button.clicked.connect(self.new_requested)
        self.settings_button.clicked.connect(self.settings_requested)
        self.search.textChanged.connect(self._on_filter)
        self.search.returnPressed.connect(self._open_first_match)
        self.view.opened.connect(lambda index: self._ask_to_open(index))
        self.view.customContextMenuRequested.connect(self._show_menu)
        self.list.rename_requested.connect(self.rename_requested)
        delegate.editing_changed.connect(self._on_editing)

    def _row_action(self, text: str, key: Qt.Key, slot: object) -> QAction:
        action = QAction(text, self.view)
        action.setShortcut(QKeySequence(key))
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.triggered.connect(slot)
        self.view.addAction(action)
        return action

    # -- what is shown ---------------------------------------------------------------------

    def set_summaries(self, summaries: Sequence[Summary]) -> None:
        """Show these rows, newest first. Waits while a title is being edited."""
        if self._editing:
            self._held = tuple(summaries)
            return
        current = self.view.currentIndex()
        row, conversation_id = current.row(), current.data(ID_ROLE) or ""
        self.list.set_summaries(summaries)
        if self.view.currentIndex().isValid() or not conversation_id:
            return
        again = self.list.index_of(conversation_id)
        if not again.isValid():  # deleted: the focus stays at this height
            again = self.list.index(min(row, self.list.rowCount() - 1))
        self.view.setCurrentIndex(again)

    def set_open(self, conversation_id: str) -> None:
        """Highlight the shown conversation and bring it into view."""
        if conversation_id == self.list.open_id:
            return
        self.list.set_open(conversation_id)
        index = self.list.index_of(conversation_id)
        if index.isValid():
            self.view.setCurrentIndex(index)
            self.view.scrollTo(index)

    def set_busy(self, conversation_id: str) -> None:
        """Put the dot on the row an answer streams into; empty for none."""
        self.list.set_busy(conversation_id)

    def focus_search(self) -> None:
        """Start a search."""
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def sizeHint(self) -> QSize:
        """The width of the design."""
        return QSize(theme.SIDEBAR_WIDTH, 600)

    # -- what the user does ----------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Down goes from the search into the list."""
        if self.search.hasFocus() and event.key() == Qt.Key.Key_Down:
            self.view.setFocus(Qt.FocusReason.TabFocusReason)
            return
        super().keyPressEvent(event)

    def _on_filter(self, text: str) -> None:
        self.list.set_filter(text)
        self.nothing.setVisible(bool(text.strip()) and self.list.rowCount() == 0)

    def _open_first_match(self) -> None:
        if self.search.text().strip() and self.list.rowCount() > 1:
            self._ask_to_open(self.list.index(1))

    def _ask_to_open(self, index: QModelIndex) -> None:
        if conversation_id := index.data(ID_ROLE):
            self.open_requested.emit(conversation_id)

    def _rename(self) -> None:
        index = self.view.currentIndex()
        if index.data(ID_ROLE):
            self.view.edit(index)

    def _delete(self) -> None:
        if conversation_id := self.view.currentIndex().data(ID_ROLE):
            self.delete_requested.emit(conversation_id)

    def _show_menu(self, place: QPoint) -> None:
        index = self.view.indexAt(place)
        if not index.data(ID_ROLE):
            return
        self.view.setCurrentIndex(index)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addActions([self.rename_action, self.delete_action])
        menu.popup(self.view.viewport().mapToGlobal(place))

    def _on_editing(self, editing: bool) -> None:
        self._editing = editing
        if not editing and self._held is not None:
            held, self._held = self._held, None
            self.set_summaries(held)
