"""A column of messages whose text can be selected and copied, with the mouse and by keyboard."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QGuiApplication,
    QKeyEvent,
    QMouseEvent,
    QTextCursor,
)
from PySide6.QtWidgets import QApplication, QWidget

from qwen_desktop.ui.timeline.arranged import STEP
from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.message import MessageView
from qwen_desktop.ui.timeline.noted import NotedColumn
from qwen_desktop.ui.timeline.places import Place
from qwen_desktop.ui.timeline.selection import Selection

_ANNOUNCED = 200  # characters of a message that is gone to


class SelectableColumn(NotedColumn):
    """Selects across blocks and messages; the keyboard goes from message to message."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._selection = Selection(self, self)
        self._chosen = ""  # id of the message that was gone to with the keyboard
        self._triple = QTimer(self)  # runs while a third click would select a paragraph
        self._triple.setSingleShot(True)
        self.viewport().setMouseTracking(True)

    def selected_text(self) -> str:
        """What is selected, as it reads."""
        return self._selection.text()

    def replaced(self) -> None:
        """Other messages: nothing is selected."""
        self._selection.clear()

    def measured(self, index: int, view: MessageView) -> None:
        """New content: mark again what is selected of it."""
        super().measured(index, view)
        if not self._selection.is_empty:
            self._selection.paint(index, view)

    def placed(self) -> None:
        """The message that is chosen looks like it."""
        super().placed()
        if (view := self._views.get(self._chosen)) is not None:
            view.set_chosen(True)

    # What the selection asks

    def place_at(self, point: QPoint) -> Place | None:
        """The place in the text nearest to `point` of the viewport."""
        if not self._items:
            return None
        y = point.y() + self._bar.value()
        index = self._heights.at(y)
        view = self.view_at(index)
        inside = QPoint(point.x(), y - self._heights.top(index))
        last = Place(index, 0, 0)
        for number, leaf in enumerate(view.leaves()):
            top = leaf.mapTo(view, QPoint(0, 0)).y()
            if inside.y() < top:
                return Place(index, number, 0)
            if inside.y() < top + leaf.height():
                spot = leaf.viewport().mapFrom(view, inside)
                return Place(index, number, leaf.cursorForPosition(spot).position())
            last = Place(index, number, leaf.length)
        return last

    def scroll_for(self, point: QPoint) -> bool:
        """Scroll towards `point` of the viewport if it lies outside; faster when farther."""
        below = point.y() - self.viewport().height()
        distance = below if below > 0 else min(0, point.y())
        if distance == 0:
            return False
        self._bar.setValue(self._bar.value() + max(-60, min(60, distance)))
        return True

    def selection_changed(self) -> None:
        """Mark the selection in all widgets there are."""
        for key, view in self._views.items():
            self._selection.paint(self._index[key], view)

    # Keys

    def select_by_key(self, event: QKeyEvent) -> bool:
        """Shift with arrows, Home and End selects; with Ctrl by words, messages and all."""
        key, move = Qt.Key(event.key()), QTextCursor.MoveOperation
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        steps = {
            Qt.Key.Key_Left: move.WordLeft if control else move.Left,
            Qt.Key.Key_Right: move.WordRight if control else move.Right,
            Qt.Key.Key_Up: move.Up,
            Qt.Key.Key_Down: move.Down,
            Qt.Key.Key_Home: move.StartOfLine,
            Qt.Key.Key_End: move.EndOfLine,
        }
        if not self._items or key not in steps:
            return False
        chosen = self._index.get(self._chosen)
        start = Place(chosen, 0, 0) if chosen is not None else self.place_at(QPoint(0, 1))
        assert start is not None
        by = -1 if key in (Qt.Key.Key_Left, Qt.Key.Key_Up, Qt.Key.Key_Home) else 1
        if control and key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            tip = self._selection.step_to_message(by, start)
        elif control and key in (Qt.Key.Key_Home, Qt.Key.Key_End):
            tip = self._selection.step_to_edge(by, start)
        else:
            tip = self._selection.step(steps[key], start)
        self._show_place(tip)
        return True

    def _show_place(self, place: Place) -> None:
        """Scroll no farther than needed to see a place in the text."""
        view = self.view_at(place.message)
        leaves = list(view.leaves())
        top, height = 0, STEP
        if place.leaf < len(leaves):
            leaf = leaves[place.leaf]
            cursor = QTextCursor(leaf.document())
            cursor.setPosition(min(place.char, leaf.length))
            line = leaf.cursorRect(cursor)
            top, height = leaf.viewport().mapTo(view, line.topLeft()).y(), line.height()
        top += self._heights.top(place.message)
        first, room = self._bar.value(), self.viewport().height()
        if top < first:
            self._bar.setValue(top - 8)
        elif top + height > first + room:
            self._bar.setValue(top + height + 8 - room)

    def go_by_message(self, step: int) -> None:
        """Choose the message below, or with -1 the one above, and bring its beginning into view."""
        if not self._items:
            return
        top = self._bar.value()
        index = self._index.get(self._chosen, -1)
        if index >= 0 and self._heights.top(index + 1) > top and self._begins_above_end(index):
            index += step
        else:  # none in view is chosen
            index = self._heights.at(top)
            if (self._heights.top(index) >= top) is (step < 0):
                index += step
        self._choose(max(0, min(index, len(self._items) - 1)))

    def _begins_above_end(self, index: int) -> bool:
        return self._heights.top(index) < self._bar.value() + self.viewport().height()

    def _choose(self, index: int) -> None:
        """Let the keyboard's menu be the one of message number `index`, and show it."""
        self._unchoose()
        top, height = self._bar.value(), self.viewport().height()
        self._measure(index)
        fits = self._heights.top(index) >= top and self._heights.top(index + 1) <= top + height
        if not fits:
            self.scroll_to(index, 0)
        self._chosen = self._items[index].message.id
        self.placed()
        view = self.view_at(index)
        said = " ".join(self._items[index].message.text[:_ANNOUNCED].split())
        text = f"{view.accessibleName()}: {said}"
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    def _unchoose(self) -> None:
        view = self._views.get(self._chosen)
        self._chosen = ""
        if view is not None:
            view.set_chosen(False)

    # Mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a selection."""
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        self._unchoose()
        point = event.position().toPoint()
        if self._triple.isActive():
            self._triple.stop()
            self._selection.press_again(point, QTextCursor.SelectionType.BlockUnderCursor)
            return
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        self._selection.press(point, shift)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Select a word; a third click soon after selects the paragraph."""
        if event.button() == Qt.MouseButton.LeftButton:
            point = event.position().toPoint()
            self._selection.press_again(point, QTextCursor.SelectionType.WordUnderCursor)
            self._triple.start(QApplication.doubleClickInterval())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Extend the selection."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._selection.move(event.position().toPoint())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End the selection; a click on a link follows it."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        self._selection.release()
        shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        leaf, link = self._link_at(event.position().toPoint())
        if leaf is not None and link and not self._selection.moved and not shift:
            leaf.follow(link)

    def _link_at(self, point: QPoint) -> tuple[Leaf | None, str]:
        """The text at a point and the link there, or ""."""
        widget: QWidget | None = self.viewport().childAt(point)
        while widget is not None and not isinstance(widget, Leaf):
            widget = widget.parentWidget()
        if widget is None:
            return None, ""
        return widget, widget.anchorAt(widget.viewport().mapFrom(self.viewport(), point))

    # Copying

    def _copy(self) -> None:
        if not self._selection.is_empty:
            QGuiApplication.clipboard().setText(self._selection.text())

    def _copy_markdown(self) -> None:
        if not self._selection.is_empty:
            QGuiApplication.clipboard().setText(self._selection.markdown())
