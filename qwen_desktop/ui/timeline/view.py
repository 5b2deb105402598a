"""The chat pane: builds only the messages near the viewport and places them by hand.

markdown_it and Pygments are not imported with this module: the window opens without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from PySide6.QtCore import QEvent, QPoint, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QResizeEvent,
    QShowEvent,
    QTextCursor,
)
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QFrame, QMenu, QWidget

from qwen_desktop.chat.messages import Message, Role
from qwen_desktop.ui.theme import Theme, body_font, palette, resolve
from qwen_desktop.ui.timeline.buttons import PillButton
from qwen_desktop.ui.timeline.heights import Heights
from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.markdown import web_address
from qwen_desktop.ui.timeline.message import Item, MessageView
from qwen_desktop.ui.timeline.scrollbar import SlimBar
from qwen_desktop.ui.timeline.selection import Place, Selection
from qwen_desktop.ui.timeline.shared import Shared

MOST_VIEWS = 40
_STEP = 24  # px of a line of scrolling
_NEAR_END = 4  # px from the end that still count as the end


class Timeline(QAbstractScrollArea):
    """The messages of one conversation."""

    retry_requested = Signal(str)  # message id
    link_activated = Signal(QUrl)  # http, https or mailto; ask before opening
    details_requested = Signal(str)  # message id of a failed answer

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shared = Shared(resolve("system"), self)
        self._shared.retry_requested.connect(self.retry_requested)
        self._shared.details_requested.connect(self.details_requested)
        self._shared.link_activated.connect(self.link_activated)
        self._shared.resized.connect(self._on_resized)
        self._items: list[Item] = []
        self._index: dict[str, int] = {}
        self._heights = Heights()
        self._exact: set[str] = set()  # ids whose height is measured for this width
        self._views: dict[str, MessageView] = {}
        self._follow = True
        self._anchor = (0, 0)  # first visible message, px of it above the viewport
        self._arranging = False
        self._selection = Selection(self, self)
        self._clicks = 0
        self.setObjectName("timeline")
        self.setAccessibleName(self.tr("Conversation"))
        self.setFont(body_font())
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._bar = SlimBar(Qt.Orientation.Vertical, self)
        self.setVerticalScrollBar(self._bar)
        # Always there, though mostly unseen: text must not shift when it comes into use.
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self._bar.setSingleStep(_STEP)
        self.viewport().setMouseTracking(True)
        self._jump = PillButton(
            self._shared, self, self.tr("Jump to latest"), self.tr("Jump to latest")
        )
        self._jump.clicked.connect(self._on_jump)
        self._jump.hide()
        self._ahead = QTimer(self)  # builds the neighbours while nothing else is to be done
        self._ahead.setSingleShot(True)
        self._ahead.timeout.connect(self._build_ahead)
        self._triple = QTimer(self)
        self._triple.setSingleShot(True)
        self.set_theme(self._shared.theme)

    # Content

    def set_theme(self, theme: Theme) -> None:
        """Switch the colours of everything shown."""
        self._shared.theme = theme
        self.setPalette(palette(theme))
        self._bar.set_colour(theme.field_border)
        for view in self._views.values():
            view.apply_theme()
        self._jump.update()

    def set_messages(self, messages: Sequence[Message]) -> None:
        """Show a whole path, its end first. System messages are not shown."""
        self._selection.clear()
        old = {item.message.id: item for item in self._items}
        self._items = []
        for message in messages:
            if message.role is not Role.SYSTEM:
                item = old.get(message.id) or Item(message)
                item.message = message
                self._items.append(item)
        self._index = {item.message.id: index for index, item in enumerate(self._items)}
        for key in [key for key in self._views if key not in self._index]:
            self._discard(key)
        self._exact.clear()
        self._heights = Heights(self._estimate(item.message) for item in self._items)
        self._follow = True
        self._arrange()

    def add(self, message: Message) -> None:
        """Add a message at the end. What the user just sent is scrolled to."""
        if message.role is Role.SYSTEM:
            return
        if message.id in self._index:
            self.change(message)
            return
        self._index[message.id] = len(self._items)
        self._items.append(Item(message))
        self._heights.append(self._estimate(message))
        if message.role is Role.USER:
            self._follow = True
        self._arrange()

    def change(self, message: Message) -> None:
        """Show the new state of a message: grown text, another status. Unknown ids are ignored."""
        index = self._index.get(message.id)
        if index is None:
            return
        self._items[index].message = message
        self._refreshed(index)

    def set_prefill(self, message_id: str, done: int, total: int) -> None:
        """How many of the prompt's tokens are read, shown until the answer begins."""
        index = self._index.get(message_id)
        if index is not None:
            self._items[index].progress = (done, total)
            self._refreshed(index)

    def clear(self) -> None:
        """Show nothing."""
        self.set_messages(())

    def selected_text(self) -> str:
        """What is selected, as it reads."""
        return self._selection.text()

    # What the selection asks

    def messages(self) -> Sequence[Message]:
        """The messages shown, from the top."""
        return [item.message for item in self._items]

    def built_view(self, index: int) -> MessageView | None:
        """The widget of message number `index`, if there is one now."""
        return self._views.get(self._items[index].message.id)

    def view_at(self, index: int) -> MessageView:
        """The widget of message number `index`, built and measured if need be."""
        self._measure(index)
        return self._views[self._items[index].message.id]

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

    # Geometry

    def _estimate(self, message: Message) -> int:
        length = len(message.text)
        return 60 + int(0.55 * (min(length, 4_000) if message.role is Role.USER else length))

    def _refreshed(self, index: int) -> None:
        """An item changed: its height is to be measured, if it is near the viewport."""
        self._exact.discard(self._items[index].message.id)
        self._arrange()

    def _measure(self, index: int) -> bool:
        """Build and measure one message; whether its height changed."""
        item = self._items[index]
        key = item.message.id
        if key in self._exact:
            return False
        view = self._views.get(key)
        fresh = view is None
        if view is None:
            view = self._views[key] = MessageView(self._shared, self.viewport(), item)
        width = self.viewport().width()
        view.refresh(index == len(self._items) - 1, width)
        old, new = self._heights[index], view.lay_out(width)
        self._exact.add(key)
        if not self._selection.is_empty:
            self._selection.paint(index, view)
        if index == self._anchor[0] and self._anchor[1] > 0 and old != new:
            # First seen from below: keep what is visible of it. Else: the same part of it.
            above = self._anchor[1]
            above = above + new - old if fresh else above if above < old - 1 else new - 1
            self._anchor = (index, max(0, above))
        self._heights.set(index, new)
        return old != new

    def _arrange(self) -> None:
        """Measure what is visible and place it; keeps the end or the first visible message."""
        if self._arranging:
            return
        self._arranging = True
        try:
            top = self._settle()
            height = self.viewport().height()
            self._bar.setPageStep(height)
            self._bar.setRange(0, max(0, self._heights.total - height))
            self._bar.setValue(top)
            self._place(top, height)
        finally:
            self._arranging = False
        hidden = self._follow or self._bar.maximum() - self._bar.value() < 2 * _STEP
        self._jump.setVisible(not hidden)
        if not hidden:
            self._place_jump()
        if self._unbuilt_neighbour() is not None and not self._ahead.isActive():
            self._ahead.start(0)

    def _settle(self) -> int:
        """The scroll position, after everything visible there is measured."""
        count = len(self._items)
        if not count:
            return 0
        height = self.viewport().height()
        while True:
            lowest = max(0, self._heights.total - height)
            index, above = self._anchor
            index = min(index, count - 1)
            top = lowest if self._follow else min(self._heights.top(index) + above, lowest)
            first = self._heights.at(top)
            changed = False
            at = first
            while at < count and self._heights.top(at) < top + height:
                changed = self._measure(at) or changed
                at += 1
            if not changed:
                return top

    def _place(self, top: int, height: int) -> None:
        width = self.viewport().width()
        focused = QApplication.focusWidget()
        away: list[tuple[int, str]] = []
        for key, view in self._views.items():
            index = self._index[key]
            y = self._heights.top(index) - top
            distance = max(-(y + self._heights[index]), y - height)
            if distance > height and not (focused is not None and view.isAncestorOf(focused)):
                view.hide()
                away.append((distance, key))
                continue
            view.setGeometry(0, y, width, self._heights[index])
            view.show()
        away.sort()
        while away and len(self._views) > MOST_VIEWS:
            self._discard(away.pop()[1])

    def _unbuilt_neighbour(self) -> int | None:
        """A message within one screen of the viewport that is not measured yet."""
        if not self._items or not self.isVisible():
            return None
        top, height = self._bar.value(), self.viewport().height()
        first = self._heights.at(top - height)
        last = self._heights.at(top + 2 * height)
        for index in range(last, first - 1, -1):
            if self._items[index].message.id not in self._exact:
                return index
        return None

    def _build_ahead(self) -> None:
        index = self._unbuilt_neighbour()
        if index is not None:
            self._measure(index)
            self._arrange()

    def _discard(self, key: str) -> None:
        view = self._views.pop(key)
        self._exact.discard(key)
        view.hide()
        view.deleteLater()

    def _on_resized(self) -> None:
        """A block folded or unfolded itself."""
        for key, view in self._views.items():
            if view.dirty:
                self._exact.discard(key)
        if self._follow and self._bar.maximum() > 0:
            # What was clicked stays where it is, rather than the end of the text.
            self._remember(self._bar.value())
            self._follow = False
        self._arrange()
        self._follow = self._bar.value() >= self._bar.maximum() - _NEAR_END

    def _remember(self, top: int) -> None:
        if self._items:
            index = self._heights.at(top)
            self._anchor = (index, top - self._heights.top(index))

    def scrollContentsBy(self, _dx: int, _dy: int) -> None:
        """The user scrolled: follow the end only if it is in view."""
        if self._arranging:
            return
        self._follow = self._bar.value() >= self._bar.maximum() - _NEAR_END
        self._remember(self._bar.value())
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Measure anew what is visible."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._exact.clear()
        self._arrange()
        self._place_jump()

    def showEvent(self, event: QShowEvent) -> None:
        """Begin to build the neighbours."""
        super().showEvent(event)
        self._arrange()

    def _place_jump(self) -> None:
        size = self._jump.sizeHint()
        x = (self.viewport().width() - size.width()) // 2
        y = self.viewport().height() - size.height() - 12
        self._jump.setGeometry(x, y, size.width(), size.height())
        self._jump.raise_()

    def _on_jump(self) -> None:
        self._follow = True
        self._arrange()

    # Keys and mouse

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Scroll, copy, select all."""
        steps = {
            Qt.Key.Key_Up: -2 * _STEP,
            Qt.Key.Key_Down: 2 * _STEP,
            Qt.Key.Key_PageUp: -self._page(),
            Qt.Key.Key_PageDown: self._page(),
            Qt.Key.Key_Home: -self._bar.value(),
            Qt.Key.Key_End: self._bar.maximum() - self._bar.value(),
        }
        step = steps.get(Qt.Key(event.key()))
        if event.matches(QKeySequence.StandardKey.Copy):
            self._copy()
        elif event.matches(QKeySequence.StandardKey.SelectAll):
            self._selection.select_all()
        elif step is not None:
            self._bar.setValue(self._bar.value() + step)
        else:
            event.ignore()

    def _page(self) -> int:
        return max(_STEP, self.viewport().height() - 2 * _STEP)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a selection."""
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
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
        link = self._link_at(event.position().toPoint())
        if link and not self._selection.moved and not shift:
            self.link_activated.emit(QUrl(link))

    def _link_at(self, point: QPoint) -> str:
        widget: QWidget | None = self.viewport().childAt(point)
        while widget is not None and not isinstance(widget, Leaf):
            widget = widget.parentWidget()
        if widget is None:
            return ""
        link = widget.anchorAt(widget.viewport().mapFrom(self.viewport(), point))
        return link if web_address(link) else ""

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Copy and select."""
        menu = self.context_menu(self.viewport().mapFromGlobal(event.globalPos()))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())

    def context_menu(self, point: QPoint) -> QMenu:
        """The menu for a point of the viewport."""
        menu = QMenu(self)
        copy = menu.addAction(self.tr("Copy"))
        copy.triggered.connect(self._copy)
        markdown = menu.addAction(self.tr("Copy as Markdown"))
        markdown.triggered.connect(self._copy_markdown)
        for action in (copy, markdown):
            action.setEnabled(not self._selection.is_empty)
        link = self._link_at(point)
        if link:
            address = menu.addAction(self.tr("Copy link address"))
            address.triggered.connect(lambda: QGuiApplication.clipboard().setText(link))
        menu.addSeparator()
        everything = menu.addAction(self.tr("Select all"))
        everything.triggered.connect(self._selection.select_all)
        everything.setEnabled(bool(self._items))
        return menu

    def _copy(self) -> None:
        if not self._selection.is_empty:
            QGuiApplication.clipboard().setText(self._selection.text())

    def _copy_markdown(self) -> None:
        if not self._selection.is_empty:
            QGuiApplication.clipboard().setText(self._selection.markdown())

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Go through the controls in the order in which they are seen, and show the next one."""
        controls: list[QWidget] = [self]
        for key in sorted(self._views, key=self._index.__getitem__):
            view = self._views[key]
            if view.isVisible():
                found = [child for child in view.findChildren(QWidget) if _focusable(child)]
                origin = QPoint(0, 0)
                found.sort(key=lambda child: (child.mapTo(view, origin).y(), child.x()))
                controls += found
        for before, after in pairwise(controls):
            QWidget.setTabOrder(before, after)
        moved = super().focusNextPrevChild(forward)
        focused = QApplication.focusWidget()
        if focused is not None and self.viewport().isAncestorOf(focused):
            top = focused.mapTo(self.viewport(), QPoint(0, 0)).y()
            below = top + focused.height() + 8 - self.viewport().height()
            if top < 8:
                self._bar.setValue(self._bar.value() + top - 8)
            elif below > 0:
                self._bar.setValue(self._bar.value() + min(below, top - 8))
        return moved

    def changeEvent(self, event: QEvent) -> None:
        """Build everything anew in another language."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.LanguageChange:
            self.setAccessibleName(self.tr("Conversation"))
            self._jump.setText(self.tr("Jump to latest"))
            self._jump.setAccessibleName(self.tr("Jump to latest"))
            for key in list(self._views):
                self._discard(key)
            self._arrange()


def _focusable(widget: QWidget) -> bool:
    tab = widget.focusPolicy() & Qt.FocusPolicy.TabFocus
    return bool(tab) and not widget.isHidden() and widget.focusProxy() is None
