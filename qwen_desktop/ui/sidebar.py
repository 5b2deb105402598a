"""The left side: New chat, search, what is listed, the conversations, Settings.

On the way to the first paint: it begins with the rows kept for the start. `connect_to` brings the
list of the bridge and makes the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QPoint, QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from qwen_desktop.chat.summary import ListFilter, Place, Summary
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Button, Label, Surface
from qwen_desktop.ui.conversation_list import ID_ROLE, ConversationList
from qwen_desktop.ui.conversation_view import ConversationView
from qwen_desktop.ui.list_source import KeptRows
from qwen_desktop.ui.place_bar import PlaceBar
from qwen_desktop.ui.search_field import ChatSearchField

if TYPE_CHECKING:
    from qwen_desktop.bridge.chat_list import ChatList
    from qwen_desktop.ui.list_actions import ListActions
    from qwen_desktop.ui.search_pane import SearchPane
    from qwen_desktop.ui.selection_bar import SelectionBar


class Sidebar(Surface):
    """Signals say what is for others to do; the list is changed through the bridge.

    `hit_requested(Hit, words)`: go to what was found and mark the words;
    `marks_changed(words)`: only mark them.
    """

    new_requested = Signal()
    open_requested = Signal(str)
    hit_requested = Signal(object, object)
    marks_changed = Signal(object)
    export_requested = Signal(object)
    copy_requested = Signal(str)
    settings_requested = Signal()
    undo_requested = Signal()  # of the last change of the list
    said = Signal(str)  # why something was not done

    # Made by `connect_to()`.
    acts: ListActions
    results: SearchPane
    selection: SelectionBar

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("sidebar", parent)
        self.setObjectName("sidebar")
        self._chats: ChatList | None = None
        self._asking = False  # for the ids of all rows
        self._to_show = ""  # a conversation whose row is not known yet

        self.new_button = Button(self.tr("New chat"), icon="plus", align_left=True)
        self.new_button.setObjectName("newChat")
        self.new_button.setAccessibleName(self.tr("New chat"))
        self.search = ChatSearchField(self.tr("Search chats"))
        self.search.setObjectName("search")
        self.place = PlaceBar()
        self.list = ConversationList(self)
        self.view = ConversationView(self.list)
        self.view.setObjectName("conversations")
        self.view.setAccessibleName(self.tr("Chats"))
        self.nothing = Label("", 12, dim=True, wrap=True)
        self.nothing.setObjectName("nothingListed")
        self.nothing.setContentsMargins(16, 8, 8, 8)
        self.nothing.hide()
        self.settings_button = Button(
            self.tr("Settings"), icon="gear", kind="plain", align_left=True
        )
        self.settings_button.setObjectName("settings")
        self.settings_button.setAccessibleName(self.tr("Settings"))

        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(12, 12, 12, 12)
        self._column.setSpacing(8)
        for widget in (self.new_button, self.search, self.place, self.nothing):
            self._column.addWidget(widget)
        self._column.addWidget(self.view, 1)
        self._column.addWidget(self.settings_button)
        self.new_button.clicked.connect(self.new_requested)
        self.settings_button.clicked.connect(self.settings_requested)
        self.view.opened.connect(self._ask_to_open)

    def set_summaries(self, summaries: Sequence[Summary]) -> None:
        """Show these rows until the list of the bridge comes."""
        self.list.set_source(KeptRows(summaries))

    def add_foot(self, widget: QWidget) -> None:
        """Put `widget` above the settings, for the eye and for Tab."""
        self._column.insertWidget(self._column.indexOf(self.settings_button), widget)
        if (before := self.settings_button.previousInFocusChain()) is not None:
            QWidget.setTabOrder(before, widget)
        QWidget.setTabOrder(widget, self.settings_button)

    def connect_to(self, chats: ChatList) -> None:
        """Bring the list to life. To be called once."""
        from qwen_desktop.ui.list_actions import ListActions
        from qwen_desktop.ui.search_pane import SearchPane
        from qwen_desktop.ui.selection_bar import SelectionBar

        self._chats = chats
        self.acts = ListActions(chats, self.window())
        self.selection = SelectionBar(self.acts)
        self.results = SearchPane(self.search)
        self._column.insertWidget(self._column.indexOf(self.view) + 1, self.results, 1)
        self._column.insertWidget(self._column.indexOf(self.settings_button), self.selection)
        self.results.hide()
        order = (
            self.view,
            *(self.results.previous, self.results.next, self.results.view),
            *self.selection.controls,
            self.settings_button,
        )
        for one, following in pairwise(order):
            QWidget.setTabOrder(one, following)
        chats.shape_changed.connect(self._on_shape)
        chats.rows_changed.connect(self.list.refresh)
        self.list.rename_requested.connect(chats.rename)
        self.view.menu_requested.connect(self._show_row_menu)
        self.view.rename_requested.connect(self._rename)
        self.view.undo_requested.connect(self.undo_requested)
        self.view.delete_requested.connect(lambda: self.acts.delete(self.view.chosen))
        self.view.chosen_changed.connect(self._on_chosen)
        self.selection.closed.connect(self._end_selection)
        self.acts.open_requested.connect(self.open_requested)
        self.acts.rename_requested.connect(lambda _: self._rename())
        self.acts.export_requested.connect(self.export_requested)
        self.acts.copy_requested.connect(self.copy_requested)
        self.acts.said.connect(self.said)
        self.place.menu_requested.connect(self._show_place_menu)
        self.place.folder_menu_requested.connect(self._show_folder_menu)
        self.place.all_requested.connect(lambda: self.acts.go_to(ListFilter()))
        self.place.empty_requested.connect(self.acts.ask_to_empty_bin)
        self.place.rename = self.acts.rename_folder
        self.results.shown_changed.connect(self._on_search)
        self.results.hit_requested.connect(self.hit_requested)
        self.results.marks_changed.connect(self.marks_changed)
        self.results.left.connect(lambda: self.view.setFocus(Qt.FocusReason.TabFocusReason))

    # -- what is shown ---------------------------------------------------------------------

    @Slot(object)
    def _on_shape(self) -> None:
        assert self._chats is not None
        moved = self._chats.filter != self.place.filter
        if self.list.source is not self._chats:
            self.list.set_source(self._chats)
        else:
            self.list.reshape()
        if moved:
            self.view.verticalScrollBar().setValue(0)
        if self._to_show:  # it may have come with these rows
            self._show_row(self._to_show)
        shape = self._chats.shape
        self.place.show_place(self._chats.filter, shape)
        self.nothing.setText(self._words_for_nothing())
        self._show_what_is()
        if not self._asking:
            self._asking = True
            self._chats.ids(self._on_ids)

    def _on_ids(self, ids: tuple[str, ...]) -> None:
        self._asking = False
        self.list.set_order(ids)
        self.view.gather()
        if self._to_show:
            self._show_row(self._to_show)
            self._to_show = ""

    def _words_for_nothing(self) -> str:
        which = self.place.filter
        if which.place is Place.BIN:
            return self.tr("The bin is empty.")
        if which.place is Place.ARCHIVE:
            return self.tr("Nothing is archived.")
        if which.folder:
            return self.tr("No chats in this folder.")
        return self.tr("No chats with this tag.") if which.tag else ""

    def _show_what_is(self) -> None:
        """The list, a word for none, or what was found."""
        searching = self.results.is_shown
        empty = self.list.rowCount() == 0 and bool(self.nothing.text())
        self.results.setVisible(searching)
        self.place.setVisible(not searching)
        self.view.setVisible(not searching)
        self.nothing.setVisible(not searching and empty)
        self.selection.show_for(() if searching else self._chosen_several())

    @Slot()
    def _on_search(self) -> None:
        self._show_what_is()

    def set_open(self, conversation_id: str) -> None:
        """Highlight the shown conversation and bring it into view."""
        if conversation_id == self.list.open_id:
            return
        self.list.set_open(conversation_id)
        self._show_row(conversation_id)

    def _show_row(self, conversation_id: str) -> None:
        index = self.list.index_of(conversation_id)
        self._to_show = "" if index.isValid() else conversation_id
        if index.isValid():
            self.view.go_to(index)
            self.view.scrollTo(index)
        elif not self.view.hasFocus() and not self.view.several:
            self.view.go_nowhere()  # the row of the chat before is not the one that is meant

    def set_busy(self, conversation_id: str) -> None:
        """Put the dot on the row an answer streams into; empty for none."""
        self.list.set_busy(conversation_id)

    def focus_search(self) -> None:
        """Start a search."""
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def sizeHint(self) -> QSize:
        """The width of the design."""
        return QSize(theme.px(theme.SIDEBAR_WIDTH), 600)

    # -- what the user does ----------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Down goes from the search into the list."""
        if self.search.hasFocus() and event.key() == Qt.Key.Key_Down:
            view = self.results.view if self.results.is_shown else self.view
            view.setFocus(Qt.FocusReason.TabFocusReason)
            return
        super().keyPressEvent(event)

    @Slot(QModelIndex)
    def _ask_to_open(self, index: QModelIndex) -> None:
        if conversation_id := index.data(ID_ROLE):
            self.open_requested.emit(conversation_id)

    @Slot()
    def _rename(self) -> None:
        index = self.view.currentIndex()
        if index.data(ID_ROLE) and self.place.filter.place is not Place.BIN:
            self.view.scrollTo(index)
            self.view.edit(index)

    def _chosen_several(self) -> tuple[str, ...]:
        return self.view.chosen if self.view.several else ()

    @Slot()
    def _on_chosen(self) -> None:
        self.selection.show_for(self._chosen_several())

    @Slot()
    def _end_selection(self) -> None:
        self.view.choose_none()
        self.view.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot(QPoint)
    def _show_row_menu(self, place: QPoint) -> None:
        from qwen_desktop.ui.row_menu import RowMenu

        if ids := self.view.chosen:
            RowMenu(ids, self.acts, self).popup(place)

    @Slot()
    def _show_place_menu(self) -> None:
        from qwen_desktop.ui.place_menu import PlaceMenu
        from qwen_desktop.ui.row_menu import show_below

        show_below(PlaceMenu(self.place.filter, self.acts, self), self.place.button)

    @Slot()
    def _show_folder_menu(self) -> None:
        from qwen_desktop.ui.place_menu import OneFolderMenu
        from qwen_desktop.ui.row_menu import show_below

        for folder in self.acts.shape.folders:
            if folder.id == self.place.filter.folder:
                show_below(OneFolderMenu(folder, self.acts, self.place), self.place.more)
