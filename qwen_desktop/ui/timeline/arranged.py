"""A column of messages of which only those near the viewport have widgets.

Heights are estimates until a message is measured; the end, or the first visible message, stays
where it is when they change. What is shown is the business of the class that builds on this one.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QFrame, QWidget

from qwen_desktop.chat.messages import Message, Role
from qwen_desktop.ui.theme import Theme, body_font, look, palette, px, resolve
from qwen_desktop.ui.timeline.heights import Heights
from qwen_desktop.ui.timeline.items import Item
from qwen_desktop.ui.timeline.jump import JumpButton
from qwen_desktop.ui.timeline.message import MessageView
from qwen_desktop.ui.timeline.scrollbar import SlimBar
from qwen_desktop.ui.timeline.shared import Shared

MOST_VIEWS = 40
STEP = 24  # px of a line of scrolling
_BELOW = 16  # px below the last message
_NEAR_END = 4  # px from the end that still count as the end


class ArrangedColumn(QAbstractScrollArea):
    """Messages from the top to the end: placed, scrolled, followed while they grow."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shared = Shared(resolve("system"), self)
        self._shared.resized.connect(self._on_resized)
        self._shared.settled.connect(self._on_settled)
        self._items: list[Item] = []
        self._index: dict[str, int] = {}
        self._heights = Heights()
        self._exact: set[str] = set()  # ids whose height is measured for this width
        self._views: dict[str, MessageView] = {}
        self._follow = True
        self._anchor = (0, 0)  # first visible message, px of it above the viewport
        self._stay: tuple[int, int] | None = None  # message and its place in the next path
        self._arranging = False
        self._zoom = look().zoom  # that the heights are for
        self.setFont(body_font())
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._bar = SlimBar(Qt.Orientation.Vertical, self)
        self.setVerticalScrollBar(self._bar)
        # Always there, though mostly unseen: text must not shift when it comes into use.
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self._bar.setSingleStep(px(STEP))
        # In the viewport: assistive technology is told of nothing else in a scrolled area.
        self._jump = JumpButton(self._shared, self.viewport())
        self._jump.clicked.connect(self._on_jump)
        self._ahead = QTimer(self)  # builds the neighbours while nothing else is to be done
        self._ahead.setSingleShot(True)
        self._ahead.timeout.connect(self._build_ahead)
        self.set_theme(self._shared.theme)

    # What the class above adds

    def replaced(self) -> None:
        """Called before other messages take the place of these."""

    def measured(self, index: int, view: MessageView) -> None:
        """Called when the widget of message number `index` has new content."""

    def placed(self) -> None:
        """Called when widgets have come to other places."""

    # Looks

    def set_theme(self, theme: Theme) -> None:
        """Switch the colours of everything shown."""
        self._shared.theme = theme
        self.setPalette(palette(theme))
        self._bar.set_colour(theme.field_border)
        for key, view in list(self._views.items()):
            if view.isHidden():
                self._discard(key)  # building it again costs no more, and only if it is needed
            else:
                view.apply_theme()
        self._jump.update()

    def follow_look(self) -> None:
        """Other fonts and sizes: what is seen first stays where it is."""
        self.setFont(body_font())
        self._bar.setSingleStep(px(STEP))
        ratio = look().zoom / self._zoom
        self._zoom = look().zoom
        first, above = self._anchor
        share = above / self._heights[first] if first < len(self._items) else 0.0
        for index in range(len(self._items)):
            self._heights.set(index, max(1, round(self._heights[index] * ratio)))
        self._jump.follow_look()
        self._anchor = (first, 0)
        self.rebuild()
        if share:  # the same part of it, whose height is known by now
            height = self._heights[first]
            self._anchor = (first, min(round(share * height), height - 1))
            self._arrange()

    def rebuild(self) -> None:
        """Build all widgets anew."""
        self._jump.rename()
        for key in list(self._views):
            self._discard(key)
        self._arrange()

    @property
    def drawing(self) -> bool:
        """Whether formulas are still being drawn."""
        return self._shared.maths.busy

    # Messages

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

    # Geometry

    def _estimate(self, message: Message) -> int:
        length = len(message.text)
        files = 46 * -(-len(message.files) // 3)  # rows of them
        return (
            60 + files + int(0.55 * (min(length, 4_000) if message.role is Role.USER else length))
        )

    @property
    def _extent(self) -> int:
        """The height of everything that is scrolled."""
        return self._heights.total + _BELOW if self._items else 0

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
        self.measured(index, view)
        if index == self._anchor[0] and self._anchor[1] > 0 and old != new:
            # First seen from below: keep what is visible of it. Else: the same part of it.
            above = self._anchor[1]
            above = above + new - old if fresh else above if above < min(old, new) - 1 else new - 1
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
            self._bar.setRange(0, max(0, self._extent - height))
            self._bar.setValue(top)
            self._place(top, height)
        finally:
            self._arranging = False
        hidden = self._follow or self._bar.maximum() - self._bar.value() < 2 * STEP
        if hidden:
            self._jump.forget()
        else:
            self._place_jump()
        self._jump.setVisible(not hidden)
        if self._unbuilt_neighbour() is not None and not self._ahead.isActive():
            self._ahead.start(0)

    def _settle(self) -> int:
        """The scroll position, after everything visible there is measured."""
        count = len(self._items)
        if not count:
            return 0
        height = self.viewport().height()
        while True:
            lowest = max(0, self._extent - height)
            index, above = self._anchor
            index = min(index, count - 1)
            kept = max(0, self._heights.top(index) + above)
            top = lowest if self._follow else min(kept, lowest)
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
        self.placed()

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
        view.store()
        self._exact.discard(key)
        focused = QApplication.focusWidget()
        if focused is not None and view.isAncestorOf(focused):
            self.setFocus()  # hidden, it would hand the focus on to any part of the window
        view.hide()
        view.deleteLater()

    # Scrolling

    def make_room(self, height: int) -> None:
        """Leave `height` px free above the messages, for something else; these do not move."""
        before = self.viewportMargins().top()
        if height != before:
            stays, value = not self._follow, self._bar.value() + height - before
            self.setViewportMargins(0, height, 0, 0)
            if stays:
                self._bar.setValue(value)

    def _on_settled(self) -> None:
        """Blocks changed their heights by themselves: what is followed is still followed."""
        for key, view in self._views.items():
            if view.dirty:
                self._exact.discard(key)
        self._arrange()

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
        self.follow_if_at_end()

    def follow_if_at_end(self) -> None:
        """Follow the end from now on if it is in view."""
        self._follow = self._bar.value() >= self._bar.maximum() - _NEAR_END

    def _remember(self, top: int) -> None:
        if self._items:
            index = self._heights.at(top)
            self._anchor = (index, top - self._heights.top(index))

    def scrollContentsBy(self, _dx: int, dy: int) -> None:
        """The user scrolled: the end is followed until it is left, by however little."""
        if self._arranging:
            return
        if dy > 0:
            self._follow = False
        else:
            self.follow_if_at_end()
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
        room = self.viewport().size()
        self._jump.place(room.width(), room.height())

    def _on_jump(self) -> None:
        self._follow = True
        self._arrange()
