"""The chat pane: messages that can be read, selected, copied and answered again.

markdown_it and Pygments are not imported with this module: the window opens without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from PySide6.QtCore import QEvent, QPoint, Qt, QUrl, Signal, Slot
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QApplication, QMenu, QWidget

from qwen_desktop.chat.messages import Message, Role
from qwen_desktop.ui.timeline.arranged import STEP
from qwen_desktop.ui.timeline.editor import Editor
from qwen_desktop.ui.timeline.markdown import web_address
from qwen_desktop.ui.timeline.menu import MessageMenu
from qwen_desktop.ui.timeline.offers import SETTLED, Act
from qwen_desktop.ui.timeline.selectable import SelectableColumn
from qwen_desktop.ui.timeline.selection import whole_text
from qwen_desktop.ui.timeline.shared import Shared

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


class Timeline(SelectableColumn):
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
        self.setObjectName("timeline")
        self.setAccessibleName(self.tr("Chat"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

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
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier and self.select_by_key(event):
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

    def _page(self) -> int:
        return max(STEP, self.viewport().height() - 2 * STEP)

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
