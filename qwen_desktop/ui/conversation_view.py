"""The list of conversations to look at: keys, the mouse, and which rows are selected."""

from __future__ import annotations

from PySide6.QtCore import (
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPoint,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QAction,
    QContextMenuEvent,
    QFocusEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
)
from PySide6.QtWidgets import QAbstractItemView, QWidget

from qwen_desktop.ui.conversation_list import ID_ROLE, ConversationList, header_height
from qwen_desktop.ui.conversation_row import RowDelegate, more_rect
from qwen_desktop.ui.row_view import RowView

_SELECT = QItemSelectionModel.SelectionFlag.Select
_ALONE = QItemSelectionModel.SelectionFlag.ClearAndSelect
_AS_IT_IS = QItemSelectionModel.SelectionFlag.NoUpdate
_EDITING = QAbstractItemView.State.EditingState


class ConversationView(RowView):
    """A click or Enter opens a row; arrows move the focus; Ctrl and Shift select several.

    Signals: `opened(index)`, `menu_requested(global point)` for the selected rows,
    `chosen_changed()`, and `delete_requested()`, `rename_requested()`, `undo_requested()` by keys.
    """

    opened = Signal(QModelIndex)
    menu_requested = Signal(QPoint)
    chosen_changed = Signal()
    delete_requested = Signal()
    rename_requested = Signal()
    undo_requested = Signal()

    def __init__(self, model: ConversationList, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._list = model
        self._delegate = RowDelegate(self)
        self._plain = True  # the press had no Ctrl or Shift
        self._focus = ("", 0)  # conversation and row before a change
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setItemDelegate(self._delegate)
        self.setModel(model)
        model.seen = self._seen
        model.changing.connect(self._keep_place)
        model.changed.connect(self._restore_place)
        self.clicked.connect(self._on_clicked)
        # Not Delete alone: no single key deletes anything.
        self.delete_action = self._action(
            self.tr("Delete"), ("Ctrl+Del", "Ctrl+Backspace"), self.delete_requested
        )
        self.rename_action = self._action(self.tr("Rename"), ("F2",), self.rename_requested)

        self.undo_action = self._action(self.tr("Undo"), ("Ctrl+Z",), self.undo_requested)

    def _action(self, text: str, keys: tuple[str, ...], signal: object) -> QAction:
        action = QAction(text, self)
        action.setShortcuts([QKeySequence(key) for key in keys])
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.triggered.connect(signal)
        self.addAction(action)
        return action

    @property
    def delegate(self) -> RowDelegate:
        """What draws the rows."""
        return self._delegate

    # -- what is selected ------------------------------------------------------------------

    @property
    def chosen(self) -> tuple[str, ...]:
        """The selected conversations in the order of the list, the one with the focus at least."""
        listed = self._list.in_order(self._list.chosen)
        if not listed and (current := self._list.id_at(self.currentIndex().row())):
            return (current,)
        return listed

    @property
    def several(self) -> bool:
        """Whether more than one row is selected."""
        return len(self._list.chosen) > 1

    def choose_none(self) -> None:
        """Select only the row with the focus."""
        self.selectionModel().select(self.currentIndex(), _ALONE)
        self._gather()

    def go_to(self, index: QModelIndex) -> None:
        """Give a row the focus; several selected ones stay selected."""
        self.selectionModel().setCurrentIndex(index, _AS_IT_IS if self.several else _ALONE)

    def go_nowhere(self) -> None:
        """Take the focus off any row; the list begins at the shown conversation again."""
        self.selectionModel().clearSelection()
        self.selectionModel().clearCurrentIndex()

    def gather(self) -> None:
        """Rows that were selected before their conversations were known are known now."""
        selection = self.selectionModel().selection()
        parts = [selection.at(i) for i in range(selection.count())]
        if sum(part.height() for part in parts) > len(self._list.chosen):
            self._gather()

    def _gather(self) -> None:
        selection = self.selectionModel().selection()
        chosen: set[str] = set()
        for i in range(selection.count()):
            part = selection.at(i)
            chosen.update(self._list.ids_in(part.top(), part.bottom()))
        if chosen != self._list.chosen:
            self._list.chosen = chosen
            self.viewport().update()
            self.chosen_changed.emit()

    def selectionChanged(self, selected: QItemSelection, deselected: QItemSelection) -> None:
        """Keep in mind which conversations are selected, wherever their rows go."""
        super().selectionChanged(selected, deselected)
        before = len(self._list.chosen)
        for part, change in (
            (deselected, self._list.chosen.difference_update),
            (selected, self._list.chosen.update),
        ):
            for i in range(part.count()):
                change(self._list.ids_in(part.at(i).top(), part.at(i).bottom()))
        if before > 1 or self.several:
            self.viewport().update()  # marks of other rows come or go with the second one
        self.chosen_changed.emit()

    def _seen(self) -> range:
        """The rows that are seen, or would be if there were more of them."""
        first = self.rows_in(0, 0).start
        return range(first, first + self.viewport().height() // header_height() + 2)

    # -- the list changes ------------------------------------------------------------------

    def _keep_place(self) -> None:
        self.keep_place()
        row = self.currentIndex().row()
        self._focus = (self._list.id_at(row), row)

    def _restore_place(self, over: bool) -> None:
        """Go on where one was: by the model's steps, or by the conversations' ids."""
        conversation_id, row = self._focus
        if over:
            chosen, self._list.chosen = self._list.chosen, set()
            self._select(chosen)
        if conversation_id and self._list.id_at(self.currentIndex().row()) != conversation_id:
            index = self._list.index_of(conversation_id)
            if not index.isValid():  # gone: the focus stays at this height
                index = self._list.index(self._nearest(min(row, self._list.rowCount() - 1), 1))
            self.go_to(index)
        self.restore_place()

    def _select(self, ids: set[str]) -> None:
        chosen = QItemSelection()
        for row in self._list.rows_of(ids):
            index = self._list.index(row)
            chosen.merge(QItemSelection(index, index), _SELECT)
        self.selectionModel().select(chosen, _SELECT)

    # -- keys and mouse --------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """Take Escape from the window's shortcuts while several rows are selected."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.key() == Qt.Key.Key_Escape
            and self.several
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter opens the row with the focus, Escape ends a selection of several."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            # The Enter that ends an edit comes here as well.
            if self.currentIndex().isValid() and self.state() != _EDITING:
                self.opened.emit(self.currentIndex())
            return
        if event.key() == Qt.Key.Key_Escape and self.several:
            self.choose_none()
            return
        super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Start at the shown conversation rather than at a heading."""
        super().focusInEvent(event)
        if not self.currentIndex().isValid():
            start = self._list.index_of(self._list.open_id)
            self.go_to(start if start.isValid() else self._list.index(1))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A press on the button of a row asks for its menu."""
        place = event.position().toPoint()
        index = self.indexAt(place)
        box = more_rect(self.visualRect(index))
        if (
            event.button() == Qt.MouseButton.LeftButton
            and not event.modifiers()
            and index.data(ID_ROLE)
            and not self.several
            and box.contains(place)
        ):
            self.go_to(index)
            self._ask_for_menu(box.bottomLeft())
            return
        self._plain = not event.modifiers()
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Hover, also over the button of a row."""
        super().mouseMoveEvent(event)
        row = self.hovered
        over = more_rect(self.row_rect(row)).contains(event.position().toPoint())
        now = row if row >= 0 and over else -1
        if now != self._delegate.on_more:
            self._delegate.on_more = now
            self.viewport().update(self.row_rect(row))

    def _on_clicked(self, index: QModelIndex) -> None:
        if self._plain:
            self.opened.emit(index)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """The menu of the selected rows, at the mouse or below the row with the focus."""
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            rect = self.visualRect(self.currentIndex())
            if rect.isValid():
                self.scrollTo(self.currentIndex())
                self._ask_for_menu(self.visualRect(self.currentIndex()).center())
            return
        if self.indexAt(event.pos()).data(ID_ROLE):
            self._ask_for_menu(event.pos())

    def _ask_for_menu(self, place: QPoint) -> None:
        self.menu_requested.emit(self.viewport().mapToGlobal(place))
