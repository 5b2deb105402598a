"""A list view for many rows of a few heights. On the way to the first paint: light.

QListView asks the delegate for the size of every row whenever one of them changes: a tenth of a
second with ten thousand. Here the model tells all heights at once and places are sums of them.
It stays a QListView, which is what Qt's accessibility knows how to read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol, Union

from PySide6.QtCore import (
    QAbstractItemModel,
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QRectF,
    Qt,
)
from PySide6.QtGui import (
    QAccessible,
    QAccessibleEvent,
    QFocusEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QRegion,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QAbstractScrollArea,
    QListView,
    QStyle,
    QStyleOptionViewItem,
    QWidget,
)

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import KEYBOARD, RADIUS, ScrollBar, focus_ring
from qwen_desktop.ui.rows import make_plain

Index = Union[QModelIndex, QPersistentModelIndex]  # noqa: UP007
_STEP = 26  # px of one notch: half a conversation


class Heights(Protocol):
    """What a model of a RowView has besides Qt's methods."""

    def heights(self) -> Sequence[int]:
        """The height of every row, in px."""


class RowView(QListView):
    """Places rows by `Heights.heights()`. A drag over rows selects nothing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # Qt asks for places from the very beginning, and an exception would end the program.
        self._tops: list[int] | None = None  # of every row, and the end of the last one
        self._hover = -1
        self._anchor: tuple[QPersistentModelIndex, int] | None = None
        self._bar = ScrollBar(Qt.Orientation.Vertical, self)
        # Made here, so that `viewport()` never has to find out what kind of widget it is: for
        # that PySide would load every widget class.
        self._area = QWidget()
        self.setViewport(self._area)
        make_plain(self, self._bar)

    def setModel(self, model: QAbstractItemModel | None) -> None:
        """Show the rows of a model that has `heights()`."""
        if model is not None:
            for signal in (
                model.modelReset,
                model.layoutChanged,
                model.rowsInserted,
                model.rowsRemoved,
                model.rowsMoved,
            ):
                signal.connect(self._forget_places)
        super().setModel(model)

    def follow_look(self) -> None:
        """Other fonts, other heights: the row at the top stays there."""
        first = self.visible_rows().start
        into = self._bar.value() - self.tops[first] if first < len(self.tops) else 0
        follow = getattr(self.itemDelegate(), "follow_look", None)
        if follow is not None:
            follow()
        self._forget_places()
        self._place()
        if first < len(self.tops):
            self._bar.setValue(self.tops[first] + into)
        self._area.update()

    def _forget_places(self) -> None:
        self._tops = None

    # -- places ----------------------------------------------------------------------------

    @property
    def tops(self) -> list[int]:
        """The upper edge of every row and the end of the last, in px of the whole list."""
        if self._tops is None:
            model = self.model()
            heights = model.heights() if model is not None else ()  # type: ignore[attr-defined]
            self._tops = [0, *accumulate(heights)]
        return self._tops

    @property
    def hovered(self) -> int:
        """The row under the mouse; -1 for none."""
        return self._hover

    def rows_in(self, top: int, bottom: int) -> range:
        """The rows that touch the stretch from `top` to `bottom`, in px of the viewport."""
        tops, offset = self.tops, self._bar.value()
        count = len(tops) - 1
        first = bisect_right(tops, top + offset) - 1
        last = bisect_right(tops, bottom + offset) - 1
        return range(max(first, 0), min(last + 1, count))

    def visible_rows(self) -> range:
        """The rows that are seen now."""
        return self.rows_in(0, self._area.height() - 1)

    def row_rect(self, row: int) -> QRect:
        """Where a row is, in px of the viewport."""
        tops = self.tops
        if not 0 <= row < len(tops) - 1:
            return QRect()
        top = tops[row] - self._bar.value()
        return QRect(0, top, self._area.width(), tops[row + 1] - tops[row])

    def visualRect(self, index: Index) -> QRect:
        """Where a row is, in px of the viewport."""
        return self.row_rect(index.row()) if index.isValid() else QRect()

    def indexAt(self, point: QPoint) -> QModelIndex:
        """The row at a point of the viewport."""
        tops, y = self.tops, point.y() + self._bar.value()
        if not 0 <= y < tops[-1] or not 0 <= point.x() < self._area.width():
            return QModelIndex()
        return self.model().index(bisect_right(tops, y) - 1, 0)

    def isIndexHidden(self, index: Index) -> bool:
        """None is."""
        return False

    def horizontalOffset(self) -> int:
        """Rows are as wide as the view."""
        return 0

    def verticalOffset(self) -> int:
        """How far it is scrolled, in px."""
        return self._bar.value()

    # QListView sets the range of the scroll bar by its own places, in a method that Python cannot
    # replace; so what would call it is replaced instead.

    def doItemsLayout(self) -> None:
        """Spare QListView its walk over all rows."""
        self._place()
        self._area.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Only the range of the scroll bar depends on the size."""
        QAbstractScrollArea.resizeEvent(self, event)
        self._place()

    def _place(self) -> None:
        """Give the scroll bar its range, and an editor its place."""
        height = self._area.height()
        self._bar.setSingleStep(theme.px(_STEP))
        self._bar.setPageStep(height)
        self._bar.setRange(0, max(0, self.tops[-1] - height))
        self.updateEditorGeometries()

    def scrollTo(
        self,
        index: Index,
        hint: QAbstractItemView.ScrollHint = QAbstractItemView.ScrollHint.EnsureVisible,
    ) -> None:
        """Bring a row into view."""
        if not index.isValid():
            return
        self._place()
        tops, height, offset = self.tops, self._area.height(), self._bar.value()
        top, bottom = tops[index.row()], tops[index.row() + 1]
        hints = QAbstractItemView.ScrollHint
        if hint is hints.PositionAtCenter:
            self._bar.setValue((top + bottom - height) // 2)
        elif hint is hints.PositionAtTop or top < offset:
            # The heading of a first row comes into view with it.
            before = index.row() - 1
            first = before >= 0 and not self._selectable(before)
            self._bar.setValue(tops[before] if first else top)
        elif hint is hints.PositionAtBottom or bottom > offset + height:
            self._bar.setValue(bottom - height)

    def keep_place(self) -> None:
        """Remember what is at the top, before rows come or go; `restore_place` is to follow."""
        self._anchor = None
        if not self._bar.value():
            return  # what is new at the very top is to be seen
        for row in self.visible_rows():
            if self._selectable(row):
                index = QPersistentModelIndex(self.model().index(row, 0))
                self._anchor = (index, self.row_rect(row).top())
                return

    def restore_place(self) -> None:
        """Scroll so that the row of `keep_place` is where it was."""
        anchor, self._anchor = self._anchor, None
        self._place()
        if anchor is not None and anchor[0].isValid():
            self._bar.setValue(self.tops[anchor[0].row()] - anchor[1])
        self._area.update()

    # -- selection and keys ----------------------------------------------------------------

    def _selectable(self, row: int) -> bool:
        flags = self.model().flags(self.model().index(row, 0))
        return bool(flags & Qt.ItemFlag.ItemIsEnabled)

    def _nearest(self, row: int, step: int) -> int:
        """The first row from `row` on that can be reached, else the last before it; -1: none."""
        count = len(self.tops) - 1
        for direction in (step, -step):
            at = min(max(row, 0), count - 1)
            while 0 <= at < count:
                if self._selectable(at):
                    return at
                at += direction
        return -1

    def moveCursor(
        self, action: QAbstractItemView.CursorAction, modifiers: Qt.KeyboardModifier
    ) -> QModelIndex:
        """Where a key leads, over headings."""
        # Qt shows the focus after Tab only; here a click may have come first.
        self.window().setAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange)
        count = len(self.tops) - 1
        if not count:
            return QModelIndex()
        moves = QAbstractItemView.CursorAction
        now = self.currentIndex().row()
        page = max(self._area.height() - _STEP, _STEP)
        if now < 0 or action is moves.MoveHome:
            row = self._nearest(0, 1)
        elif action is moves.MoveEnd:
            row = self._nearest(count - 1, -1)
        elif action in (moves.MoveUp, moves.MoveLeft, moves.MovePrevious):
            row = self._nearest(now - 1, -1)
        elif action is moves.MovePageUp:
            row = self._nearest(bisect_right(self.tops, max(self.tops[now] - page, 0)) - 1, 1)
        elif action is moves.MovePageDown:
            far = min(self.tops[now] + page, self.tops[-1] - 1)
            row = self._nearest(bisect_right(self.tops, far) - 1, -1)
        else:
            row = self._nearest(now + 1, 1)
        return self.model().index(row, 0) if row >= 0 else QModelIndex()

    def selectAll(self) -> None:
        """All rows, as one stretch: QListView would ask for each whether it can be selected."""
        model = self.model()
        last = model.rowCount() - 1
        if last >= 0:
            everything = QItemSelection(model.index(0, 0), model.index(last, 0))
            self.selectionModel().select(
                everything, QItemSelectionModel.SelectionFlag.ClearAndSelect
            )

    def setSelection(self, rect: QRect, command: QItemSelectionModel.SelectionFlag) -> None:
        """Select the rows that `rect` touches."""
        box = rect.normalized()
        rows = self.rows_in(box.top(), box.bottom())
        chosen = QItemSelection()
        if rows and self.tops[-1] > box.top() + self._bar.value():
            model = self.model()
            chosen.select(model.index(rows[0], 0), model.index(rows[-1], 0))
        self.selectionModel().select(chosen, command)

    def visualRegionForSelection(self, selection: QItemSelection) -> QRegion:
        """What has to be painted again: stretches of rows."""
        region = QRegion()
        for i in range(selection.count()):
            part = selection.at(i)
            region += self.row_rect(part.top()).united(self.row_rect(part.bottom()))
        return region & QRegion(self._area.rect())

    def keyboardSearch(self, search: str) -> None:
        """Typing does not jump: it would have to read every row."""

    def currentChanged(self, current: Index, previous: Index) -> None:
        """Tell a screen reader by the row, as QListView does by its own places."""
        QAbstractItemView.currentChanged(self, current, previous)
        if QAccessible.isActive() and current.isValid() and self.hasFocus():
            event = QAccessibleEvent(self, QAccessible.Event.Focus)
            event.setChild(current.row())
            QAccessible.updateAccessibility(event)

    def selectionChanged(self, selected: QItemSelection, deselected: QItemSelection) -> None:
        """The same for what is selected."""
        QAbstractItemView.selectionChanged(self, selected, deselected)
        if QAccessible.isActive():
            for part, kind in (
                (selected, QAccessible.Event.SelectionAdd),
                (deselected, QAccessible.Event.SelectionRemove),
            ):
                if part.count():
                    event = QAccessibleEvent(self, kind)
                    event.setChild(part.at(0).top())
                    QAccessible.updateAccessibility(event)

    # -- focus, mouse and paint ------------------------------------------------------------

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Who comes by a key sees where the focus is, whether or not Qt has seen the key."""
        if event.reason() in KEYBOARD:
            self.window().setAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange)
        super().focusInEvent(event)
        self._area.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """The mouse needs no mark of the focus."""
        self.window().setAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange, False)
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Hover only."""
        self._set_hover(self.indexAt(event.position().toPoint()).row())

    def leaveEvent(self, event: QEvent) -> None:
        """No hover."""
        self._set_hover(-1)
        super().leaveEvent(event)

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """Another row is under the mouse now."""
        self._area.scroll(dx, dy)  # with an editor in it; QListView goes by its own places
        self._set_hover(-1)

    def _set_hover(self, row: int) -> None:
        if row == self._hover:
            return
        for one in (self._hover, row):
            self._area.update(self.row_rect(one))
        self._hover = row

    def paintEvent(self, event: QPaintEvent) -> None:
        """The rows that need it."""
        painter = QPainter(self._area)
        model, delegate = self.model(), self.itemDelegate()
        selection = self.selectionModel()
        current = self.currentIndex().row() if self.hasFocus() else -1
        states = QStyle.StateFlag
        option = QStyleOptionViewItem()
        self.initViewItemOption(option)
        plain = (option.state | states.State_Enabled) & ~(
            states.State_HasFocus | states.State_MouseOver | states.State_Selected
        )
        if current < 0 and self.hasFocus():  # no row can show it
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            focus_ring(painter, QRectF(self._area.rect()), RADIUS)
        for row in self.rows_in(event.rect().top(), event.rect().bottom()):
            index = model.index(row, 0)
            state = plain
            if row == self._hover:
                state |= states.State_MouseOver
            if row == current:
                state |= states.State_HasFocus
            if selection.isSelected(index):
                state |= states.State_Selected
            option.state = state
            option.rect = self.row_rect(row)
            delegate.paint(painter, option, index)
