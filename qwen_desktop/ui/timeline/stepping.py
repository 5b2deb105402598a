"""From one place in a conversation to another, as keys go: in a text, to the next, by messages."""

from __future__ import annotations

from PySide6.QtGui import QTextCursor

from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.places import Pane, Place

_Move = QTextCursor.MoveOperation
_IN_LINE = (_Move.StartOfLine, _Move.EndOfLine)
_FORWARD = (_Move.Right, _Move.WordRight, _Move.Down)


def moved(pane: Pane, tip: Place, move: QTextCursor.MoveOperation) -> Place:
    """Where `move` leads; from the edge of a text to the one beside it."""
    leaves = _leaves(pane, tip.message)
    forward = move in _FORWARD
    if tip.leaf < len(leaves):
        leaf = leaves[tip.leaf]
        cursor = QTextCursor(leaf.document())
        cursor.setPosition(tip.char)
        cursor.movePosition(move)
        if cursor.position() != tip.char or move in _IN_LINE:
            return Place(tip.message, tip.leaf, cursor.position())
        if move not in (_Move.Up, _Move.Down) and leaf.length:
            forward = tip.char > 0  # in text that is read from the right, the right is the way back
    return _beside(pane, tip, 1 if forward else -1)


def to_message(pane: Pane, tip: Place, by: int) -> Place:
    """The end of its message, or of the next one from there; with -1 the beginning."""
    message = tip.message
    if by < 0:
        at_edge = (tip.leaf, tip.char) == (0, 0)
        return Place(max(0, message - at_edge), 0, 0)
    if tip == end_of(pane, message):
        message = min(len(pane.messages()) - 1, message + 1)
    return end_of(pane, message)


def edge(pane: Pane, by: int) -> Place:
    """The end of the conversation, or with -1 its beginning."""
    return Place(0, 0, 0) if by < 0 else end_of(pane, len(pane.messages()) - 1)


def end_of(pane: Pane, message: int) -> Place:
    """The end of a message."""
    leaves = _leaves(pane, message)
    return Place(message, len(leaves) - 1, leaves[-1].length) if leaves else Place(message, 0, 0)


def within(pane: Pane, place: Place) -> Place:
    """A place that is there, for one that was or lies past the end."""
    message = min(place.message, len(pane.messages()) - 1)
    leaves = _leaves(pane, message)
    if message != place.message or place.leaf >= len(leaves):
        return end_of(pane, message)
    return Place(message, place.leaf, min(place.char, leaves[place.leaf].length))


def _beside(pane: Pane, tip: Place, by: int) -> Place:
    """The beginning of the text after one, or the end of the one before."""
    message, leaf = tip.message, tip.leaf + by
    while True:
        leaves = _leaves(pane, message)
        if 0 <= leaf < len(leaves):
            return Place(message, leaf, 0 if by > 0 else leaves[leaf].length)
        message += by
        if not 0 <= message < len(pane.messages()):
            return tip
        leaf = 0 if by > 0 else len(_leaves(pane, message)) - 1


def _leaves(pane: Pane, message: int) -> list[Leaf]:
    return list(pane.view_at(message).leaves())
