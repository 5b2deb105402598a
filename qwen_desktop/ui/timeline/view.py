"""The chat pane: messages that can be read, selected, copied and answered again.

markdown_it and Pygments are not imported with this module: the window opens without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from PySide6.QtCore import QEvent, QPoint, Qt, QTimer, QUrl, Signal, Slot
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QTextCursor,
)
from PySide6.QtWidgets import QApplication, QMenu, QWidget

from qwen_desktop.chat.messages import Message, Role
from qwen_desktop.ui.timeline.column import STEP
from qwen_desktop.ui.timeline.editor import Editor
from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.markdown import web_address
from qwen_desktop.ui.timeline.menu import MessageMenu
from qwen_desktop.ui.timeline.message import MessageView
from qwen_desktop.ui.timeline.noted import NotedColumn
from qwen_desktop.ui.timeline.offers import SETTLED, Act
from qwen_desktop.ui.timeline.places import Place
from qwen_desktop.ui.timeline.selection import Selection, whole_text
from qwen_desktop.ui.timeline.shared import Shared

_ANNOUNCED = 200  # characters of a message that is gone to
_KEYBOARD = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)


class _FocusRing(QWidget):
    """Lies over the messages while the pane itself has the focus of the keyboard."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(parent)
        self._shared = shared
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A ring in the accent colour."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(self._shared.theme.accent), 2))
        painter.drawRoundedRect(self.rect().toRectF().adjusted(3, 3, -3, -3), 6, 6)


class Timeline(NotedColumn):
    """The messages of one conversation."""

    retry_requested = Signal(str)  # message id
    edit_requested = Signal(str, str)  # message id, new text; the editor stays until it is gone
    edit_typed = Signal(str, str)  # message id, what its editor holds; "" where it was left
    version_requested = Signal(str, int)  # message id, -1 or 1
    resume_requested = Signal(str, bool)  # message id, whether with a presence penalty
    pin_requested = Signal(str, bool)  # message id, whether it is to be pinned
    branch_requested = Signal(str)  # message id, the last one of the new conversation
    delete_requested = Signal(str)  # message id, with all below it
    undo_requested = Signal()  # of the last deletion
    prompt_requested = Signal(str)  # message id of an answer
    provenance_requested = Signal(str)  # message id
    tokens_requested = Signal(str)  # message id
    turn_requested = Signal(str)  # message id
    details_requested = Signal(str)  # message id of a failed answer
    policy_requested = Signal()  # why messages are left out, and what to do about it
    copy_all_requested = Signal()  # the whole conversation as Markdown
    export_requested = Signal()
    save_requested = Signal(str, str)  # a file name to suggest, code
    seek_left = Signal()  # Escape: nothing is to be looked for any more
    link_activated = Signal(QUrl)  # http, https or mailto; ask before opening

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._selection = Selection(self, self)
        self._shared.acted.connect(self._on_acted)
        self._shared.edit_requested.connect(self.edit_requested)
        self._shared.edit_typed.connect(self.edit_typed)
        self._shared.version_requested.connect(self._on_version)
        self._shared.menu_requested.connect(self._on_menu)
        self._shared.policy_requested.connect(self.policy_requested)
        self._shared.link_activated.connect(self.link_activated)
        self._shared.save_requested.connect(self.save_requested)
        self._shared.edit_begun.connect(self.show_focused)
        self._shared.edit_ended.connect(self.setFocus)
        self._shared.resized.connect(self._show_editor)
        self.can_undo = False  # a deletion
        self._ring = _FocusRing(self._shared, self)
        self._chosen = ""  # id of the message that was gone to with the keyboard
        self._triple = QTimer(self)  # runs while a third click would select a paragraph
        self._triple.setSingleShot(True)
        self.setObjectName("timeline")
        self.setAccessibleName(self.tr("Chat"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setMouseTracking(True)

    def selected_text(self) -> str:
        """What is selected, as it reads."""
        return self._selection.text()

    def begin_edit(self, message_id: str) -> None:
        """Turn a message of the user into an editor, and show it. Others are left alone."""
        index = self._index.get(message_id)
        if index is None or self._items[index].message.role is not Role.USER:
            return
        top = self._heights.top(index)
        if not self._bar.value() <= top < self._bar.value() + self.viewport().height():
            self._bar.setValue(top)
        card = self.view_at(index).card
        if card is not None:
            card.begin_edit()

    def set_edits(self, texts: Mapping[str, str]) -> None:
        """Open editors again with what was typed in them, by message id."""
        width = self.viewport().width()
        for key, text in texts.items():
            index = self._index.get(key)
            if index is None or self._items[index].draft is not None:
                continue
            self._items[index].draft = text
            if (view := self._views.get(key)) is not None:
                self._exact.discard(key)
                view.refresh(index == len(self._items) - 1, width)
        self._arrange()

    def flush_edits(self) -> None:
        """Tell at once what was typed in editors."""
        for view in self._views.values():
            view.store()

    def replaced(self) -> None:
        """Other messages: nothing is selected."""
        self._selection.clear()

    def measured(self, index: int, view: MessageView) -> None:
        """New content: mark again what is selected of it."""
        super().measured(index, view)
        if not self._selection.is_empty:
            self._selection.paint(index, view)

    # What the messages ask

    def _on_acted(self, act: Act, message: Message) -> None:
        if act in SETTLED:
            focused = QApplication.focusWidget()
            if focused is not None and self.viewport().isAncestorOf(focused):
                self.setFocus(Qt.FocusReason.TabFocusReason)  # the button is about to go
        if act in (Act.RETRY, Act.ANSWER):
            self.retry_requested.emit(message.id)
        elif act in (Act.RESUME, Act.RESUME_OTHERWISE):
            self.resume_requested.emit(message.id, act is Act.RESUME_OTHERWISE)
        elif act is Act.PIN:
            self.pin_requested.emit(message.id, not message.pinned)
        elif act is Act.COPY_TEXT:
            self._copy_as_it_reads(message)
        elif act is Act.BRANCH:
            self.branch_requested.emit(message.id)
        elif act is Act.DELETE:
            self.delete_requested.emit(message.id)
        elif act is Act.DETAILS:
            self.provenance_requested.emit(message.id)
        elif act is Act.TOKENS:
            self.tokens_requested.emit(message.id)
        elif act is Act.TURN:
            self.turn_requested.emit(message.id)
        elif act is Act.PROMPT:
            self.prompt_requested.emit(message.id)
        elif act is Act.ERROR:
            self.details_requested.emit(message.id)
        elif act is Act.CONTEXT:
            self.policy_requested.emit()

    def _copy_as_it_reads(self, message: Message) -> None:
        if (index := self._index.get(message.id)) is not None:
            QGuiApplication.clipboard().setText(whole_text(self.view_at(index)))

    @Slot(str, QPoint)
    def _on_menu(self, message_id: str, place: QPoint) -> None:
        """The menu of one message."""
        if (index := self._index.get(message_id)) is not None:
            menu = self.message_menu(index)
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(place)

    def message_menu(self, index: int) -> MessageMenu:
        """What can be done with message number `index`."""
        menu = MessageMenu(self._shared, self)
        menu.add_message(self.view_at(index), self._items[index], index == len(self._items) - 1)
        return menu

    def _on_version(self, message_id: str, step: int) -> None:
        """Another version comes to stand where this one is; the focus stays on its arrow."""
        index = self._index[message_id]
        switch = self.view_at(index).versions
        focused = QApplication.focusWidget()
        held = switch is not None and focused is not None and switch.isAncestorOf(focused)
        self._stay = (index, self._heights.top(index) - self._bar.value())
        self.version_requested.emit(message_id, step)
        self._stay = None
        if held and index < len(self._items):
            switch = self.view_at(index).versions
            arrow = switch.arrow(step) if switch is not None else None
            if arrow is not None:
                arrow.setFocus(Qt.FocusReason.TabFocusReason)

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

    # Keys and mouse

    def event(self, event: QEvent) -> bool:
        """Escape takes marks away, before the window hears of it; but first it stops an answer."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.key() == Qt.Key.Key_Escape
            and (self.is_seeking or (self.marks and not self._streaming))
        ):
            event.accept()
            return True
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self.set_theme(self._shared.theme)  # another screen: formulas are drawn for it
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Scroll, copy, select all."""
        steps = {
            Qt.Key.Key_Up: -2 * STEP,
            Qt.Key.Key_Down: 2 * STEP,
            Qt.Key.Key_PageUp: -self._page(),
            Qt.Key.Key_PageDown: self._page(),
            Qt.Key.Key_Home: -self._bar.value(),
            Qt.Key.Key_End: self._bar.maximum() - self._bar.value(),
        }
        step = steps.get(Qt.Key(event.key()))
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier and self._select_by_key(event):
            return
        if control and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.go_by_message(-1 if event.key() == Qt.Key.Key_Up else 1)
        elif event.matches(QKeySequence.StandardKey.Copy):
            self._copy()
        elif event.matches(QKeySequence.StandardKey.SelectAll):
            self._selection.select_all()
        elif event.matches(QKeySequence.StandardKey.Undo):
            self.undo_requested.emit()
        elif step is not None:
            self._bar.setValue(self._bar.value() + step)
        elif event.key() == Qt.Key.Key_Escape and self.is_seeking:
            self.seek_left.emit()
        elif event.key() == Qt.Key.Key_Escape and self.marks:
            self.set_marks(())
        else:
            event.ignore()

    def _select_by_key(self, event: QKeyEvent) -> bool:
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

    def placed(self) -> None:
        """The message that is chosen looks like it."""
        super().placed()
        if (view := self._views.get(self._chosen)) is not None:
            view.set_chosen(True)

    def _page(self) -> int:
        return max(STEP, self.viewport().height() - 2 * STEP)

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

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """At the pointer, or by the keyboard at the message that was gone to."""
        place = self.viewport().mapFromGlobal(event.globalPos())
        if event.reason() == QContextMenuEvent.Reason.Keyboard and self._items:
            index = self._index.get(self._chosen, self._heights.at(self._bar.value()))
            view = self.view_at(index)
            height = self.viewport().height()
            place = QPoint(view.width() // 3, max(8, min(view.y() + 20, height - 8)))
        menu = self.context_menu(place)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.viewport().mapToGlobal(place))

    def context_menu(self, point: QPoint) -> QMenu:
        """The menu for a point of the viewport."""
        menu = MessageMenu(self._shared, self)
        copy = menu.addAction(self.tr("Copy"))
        copy.triggered.connect(self._copy)
        markdown = menu.addAction(self.tr("Copy as Markdown"))
        markdown.triggered.connect(self._copy_markdown)
        for action in (copy, markdown):
            action.setEnabled(not self._selection.is_empty)
        link = self._link_at(point)[1]
        if web_address(link):
            address = menu.addAction(self.tr("Copy link address"))
            address.triggered.connect(lambda: QGuiApplication.clipboard().setText(link))
        menu.addSeparator()
        if self._items:
            index = self._heights.at(point.y() + self._bar.value())
            item = self._items[index]
            menu.add_message(self.view_at(index), item, index == len(self._items) - 1)
            menu.addSeparator()
        if self.can_undo:
            menu.addAction(self.tr("Undo delete")).triggered.connect(self.undo_requested)
        everything = menu.addAction(self.tr("Select all"))
        everything.triggered.connect(self._selection.select_all)
        everything.setEnabled(bool(self._items))
        menu.addSeparator()
        for words, signal in (
            (self.tr("Copy chat as Markdown"), self.copy_all_requested),
            (self.tr("Export…"), self.export_requested),
        ):
            action = menu.addAction(words)
            action.triggered.connect(signal)
            action.setEnabled(bool(self._items))
        return menu

    def _copy(self) -> None:
        if not self._selection.is_empty:
            QGuiApplication.clipboard().setText(self._selection.text())

    def _copy_markdown(self) -> None:
        if not self._selection.is_empty:
            QGuiApplication.clipboard().setText(self._selection.markdown())

    def order_controls(self) -> None:
        """Let Tab go through the controls in the order in which they are seen."""
        controls: list[QWidget] = [self]
        for key in sorted(self._views, key=self._index.__getitem__):
            view = self._views[key]
            if view.isVisible():
                found = [child for child in view.findChildren(QWidget) if _focusable(child)]
                origin = QPoint(0, 0)
                found.sort(key=lambda child: child.mapTo(view, origin).toTuple()[::-1])
                controls += found
        for before, after in pairwise([*controls, self._jump]):
            QWidget.setTabOrder(before, after)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Go on to the next control, and show it."""
        self.order_controls()
        moved = super().focusNextPrevChild(forward)
        self.show_focused()
        return moved

    def show_focused(self) -> None:
        """Scroll to what has the focus; a field with what belongs to it."""
        focused = QApplication.focusWidget()
        if focused is None or not self.viewport().isAncestorOf(focused):
            return
        parent = focused.parentWidget()
        shown = parent if isinstance(parent, Editor) else focused
        top = shown.mapTo(self.viewport(), QPoint(0, 0)).y()
        below = top + shown.height() + 8 - self.viewport().height()
        if top < 8:
            self._bar.setValue(self._bar.value() + top - 8)
        elif below > 0:
            self._bar.setValue(self._bar.value() + min(below, top - 8))

    def _show_editor(self) -> None:
        """The editor grew: its buttons stay in view."""
        focused = QApplication.focusWidget()
        if focused is not None and isinstance(focused.parentWidget(), Editor):
            self.show_focused()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show to who came by keyboard where the focus is."""
        super().focusInEvent(event)
        if event.reason() in _KEYBOARD:
            self._ring.setGeometry(self.rect())
            self._ring.show()
            self._ring.raise_()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """The ring goes with the focus."""
        super().focusOutEvent(event)
        self._ring.hide()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The ring stays around the pane."""
        super().resizeEvent(event)
        self._ring.setGeometry(self.rect())

    def changeEvent(self, event: QEvent) -> None:
        """Build everything anew in another language."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.LanguageChange:
            self.setAccessibleName(self.tr("Chat"))
            self.rebuild()


def _focusable(widget: QWidget) -> bool:
    tab = widget.focusPolicy() & Qt.FocusPolicy.TabFocus
    return bool(tab) and not widget.isHidden() and widget.focusProxy() is None
