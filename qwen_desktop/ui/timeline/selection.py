"""Selecting and copying across blocks and messages, with the mouse and by keyboard."""

from __future__ import annotations

from typing import Protocol

from PySide6.QtCore import QObject, QPoint, QTimer
from PySide6.QtGui import QClipboard, QGuiApplication, QTextCursor

from qwen_desktop.chat.messages import Role
from qwen_desktop.ui.timeline import stepping
from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.message import MessageView
from qwen_desktop.ui.timeline.places import FAR, Pane, Place

_AUTO_SCROLL = 30  # ms


class Selection(QObject):
    """From an anchor to where the pointer is or was."""

    def __init__(self, pane: Pane, parent: QObject) -> None:
        super().__init__(parent)
        self._pane = pane
        self._anchor: tuple[Place, Place] | None = None  # two places after a double click
        self._low: Place | None = None
        self._high: Place | None = None
        self._is_all = False  # it was asked for everything
        self._dragging = False
        self._moved = False
        self._unit: QTextCursor.SelectionType | None = None
        self._tip: Place | None = None  # the end that moves
        self._pointer = QPoint()
        self._timer = QTimer(self)
        self._timer.setInterval(_AUTO_SCROLL)
        self._timer.timeout.connect(self._auto_scroll)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is selected."""
        return self._low is None or self._low == self._high

    @property
    def moved(self) -> bool:
        """Whether the last press was a drag, and so no click."""
        return self._moved

    def clear(self) -> None:
        """Select nothing."""
        had = not self.is_empty
        self._anchor = self._low = self._high = self._tip = None
        self._dragging = False
        self._timer.stop()
        if had:
            self._pane.selection_changed()

    def select_all(self) -> None:
        """Every message."""
        count = len(self._pane.messages())
        if count:
            self._anchor = (Place(0, 0, 0), Place(0, 0, 0))
            self._is_all = True
            self._tip = Place(count - 1, FAR, FAR)
            self._set(Place(0, 0, 0), self._tip)

    # Mouse

    def press(self, point: QPoint, extend: bool) -> None:
        """The button went down; with Shift the selection grows to the point."""
        place = self._pane.place_at(point)
        if place is None:
            return
        self._pointer, self._moved, self._dragging, self._unit = point, False, True, None
        if extend and self._anchor is not None:
            self._extend(place)
            return
        self._anchor = (place, place)
        self._is_all = False
        self._set(place, place)

    def press_again(self, point: QPoint, kind: QTextCursor.SelectionType) -> None:
        """A double or triple click: select the word or paragraph, go on by such units."""
        place = self._pane.place_at(point)
        if place is None:
            return
        self._pointer, self._moved, self._dragging, self._unit = point, True, True, kind
        self._anchor = self._around(place)
        self._is_all = False
        self._set(*self._anchor)

    def move(self, point: QPoint) -> None:
        """The pointer moved with the button down."""
        if not self._dragging:
            return
        if not self._moved and (point - self._pointer).manhattanLength() < 4:
            return
        self._moved = True
        self._pointer = point
        place = self._pane.place_at(point)
        if place is not None:
            self._extend(place)
        if not self._timer.isActive():
            self._timer.start()

    def release(self) -> None:
        """The button went up."""
        self._dragging = False
        self._timer.stop()
        clipboard = QGuiApplication.clipboard()
        if not self.is_empty and clipboard.supportsSelection():
            clipboard.setText(self.text(), QClipboard.Mode.Selection)

    def _auto_scroll(self) -> None:
        if not self._pane.scroll_for(self._pointer):
            self._timer.stop()
            return
        place = self._pane.place_at(self._pointer)
        if place is not None:
            self._extend(place)

    def _extend(self, place: Place) -> None:
        assert self._anchor is not None
        low, high = self._around(place)
        self._is_all, self._tip = False, place
        self._set(min(self._anchor[0], low), max(self._anchor[1], high))

    def _around(self, place: Place) -> tuple[Place, Place]:
        if self._unit is None:
            return place, place
        leaves = list(self._pane.view_at(place.message).leaves())
        if place.leaf >= len(leaves):
            return place, place
        begin, end = leaves[place.leaf].range_at(place.char, self._unit)
        return (
            Place(place.message, place.leaf, begin),
            Place(place.message, place.leaf, end),
        )

    def _set(self, low: Place, high: Place) -> None:
        if (low, high) != (self._low, self._high):
            self._low, self._high = low, high
            self._pane.selection_changed()

    # Keyboard

    def step(self, move: QTextCursor.MoveOperation, start: Place) -> Place:
        """Move the end of the selection, from `start` where nothing is selected; where it is now.

        From the edge of a text it goes on to the next one, of the next message as well.
        """
        return self._lead(stepping.moved(self._pane, self._tip_or(start), move))

    def step_to_message(self, by: int, start: Place) -> Place:
        """Move the end of the selection to the end of a message, with -1 to its beginning."""
        return self._lead(stepping.to_message(self._pane, self._tip_or(start), by))

    def step_to_edge(self, by: int, start: Place) -> Place:
        """Move the end of the selection to the end of all, with -1 to the beginning."""
        self._tip_or(start)
        return self._lead(stepping.edge(self._pane, by))

    def _tip_or(self, start: Place) -> Place:
        """The end that moves; from now on by characters."""
        if self._tip is None or self._anchor is None:
            self._anchor, self._tip = (start, start), start
        self._unit = None
        return stepping.within(self._pane, self._tip)

    def _lead(self, tip: Place) -> Place:
        self._extend(tip)
        return tip

    # Showing

    def paint(self, index: int, view: MessageView) -> None:
        """Mark what is selected of one message."""
        thought = view.reasoning_leaves
        for number, leaf in enumerate(view.leaves()):
            leaf.highlight(*self._range(index, number, thought))

    def _range(self, message: int, leaf: int, thought: int) -> tuple[int, int]:
        """What is selected of one text; the first `thought` texts of its message are reasoning.

        That is selected where one began or ended in it, not where it lies between.
        """
        low, high = self._low, self._high
        if low is None or high is None:
            return 0, 0
        here = (message, leaf)
        if leaf < thought and (
            self._is_all
            or not any(end.message == message and end.leaf < thought for end in (low, high))
        ):
            return 0, 0
        if here < (low.message, low.leaf) or here > (high.message, high.leaf):
            return 0, 0
        begin = low.char if here == (low.message, low.leaf) else 0
        end = high.char if here == (high.message, high.leaf) else FAR
        return begin, end

    # Copying

    def text(self) -> str:
        """The selected text as it reads; unseen messages contribute their source."""
        return self._joined(self._plain)

    def markdown(self) -> str:
        """The selected text as Markdown; of a partly selected block, what is selected."""
        return self._joined(self._source)

    def _joined(self, one: _Copier) -> str:
        low, high = self._low, self._high
        if low is None or high is None or low == high:
            return ""
        messages = self._pane.messages()
        parts = []
        for index in range(low.message, min(high.message, len(messages) - 1) + 1):
            edge = index in (low.message, high.message)
            view = self._pane.view_at(index) if edge else self._pane.built_view(index)
            message = messages[index]
            if view is None:
                parts.append(message.text)
                continue
            leaves = list(view.leaves())
            thought = view.reasoning_leaves
            ranges = [self._range(index, number, thought) for number in range(len(leaves))]
            whole = all(
                begin == 0 and min(end, leaf.length) == leaf.length
                for (begin, end), leaf in zip(ranges[thought:], leaves[thought:], strict=True)
            )
            if whole and (message.role is Role.USER or view.shown_end is not None):
                parts.append(message.text)  # with what is not shown of a long one
            else:
                parts.append(one(view, leaves, ranges))
        return "\n\n".join(part for part in parts if part)

    @staticmethod
    def _plain(view: MessageView, leaves: list[Leaf], ranges: list[tuple[int, int]]) -> str:
        starts = {first for first, end, _ in view.block_ranges() if end > first}
        text = ""
        joint = ""
        for number, (leaf, (begin, end)) in enumerate(zip(leaves, ranges, strict=True)):
            piece = leaf.text_between(begin, end)
            if piece:
                text += ("\n\n" if number in starts and text else joint) + piece
                joint = leaf.joint
        return text

    @staticmethod
    def _source(view: MessageView, leaves: list[Leaf], ranges: list[tuple[int, int]]) -> str:
        blocks = view.block_ranges()
        if not blocks:
            return Selection._plain(view, leaves, ranges)
        touched = [number for number, (begin, end) in enumerate(ranges) if begin < end]
        parts = []
        for number in touched:
            if number < blocks[0][0]:
                parts.append(leaves[number].text_between(*ranges[number]))
        for first, end, block in blocks:
            inside = range(first, end)
            whole = all(
                ranges[number][0] == 0 and ranges[number][1] >= leaves[number].length
                for number in inside
            )
            if whole and (inside or (touched and touched[0] < first <= touched[-1])):
                parts.append(block.source)
                continue
            pieces = [leaves[number].text_between(*ranges[number]) for number in inside]
            parts.append("\n".join(piece for piece in pieces if piece))
        return "\n\n".join(part for part in parts if part)


class _Copier(Protocol):
    """Takes the selected ranges of one message's texts."""

    def __call__(
        self, view: MessageView, leaves: list[Leaf], ranges: list[tuple[int, int]], /
    ) -> str:
        """The text for the clipboard."""


def whole_text(view: MessageView) -> str:
    """What a message says as it reads, without its reasoning; of one shown in part, its source."""
    if view.shown_end is not None:
        return view.message.text
    leaves = list(view.leaves())
    thought = view.reasoning_leaves
    ranges = [(0, 0 if number < thought else FAR) for number in range(len(leaves))]
    return Selection._plain(view, leaves, ranges)
