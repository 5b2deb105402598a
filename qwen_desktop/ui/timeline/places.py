"""Places in the texts of a conversation, and what is asked of the pane that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PySide6.QtCore import QPoint

from qwen_desktop.chat.messages import Message
from qwen_desktop.ui.timeline.message import MessageView

FAR = 1 << 30  # a leaf or character past any other


@dataclass(frozen=True, order=True)
class Place:
    """Between two characters: message, text within it, position within that."""

    message: int
    leaf: int
    char: int


class Pane(Protocol):
    """What the selection asks of the timeline."""

    def messages(self) -> Sequence[Message]:
        """All messages."""

    def built_view(self, index: int) -> MessageView | None:
        """The widget of a message, if there is one."""

    def view_at(self, index: int) -> MessageView:
        """The widget of a message, built if need be."""

    def place_at(self, point: QPoint) -> Place | None:
        """The place nearest to a point of the viewport."""

    def scroll_for(self, point: QPoint) -> bool:
        """Scroll towards a point outside of the viewport; False where it is inside."""

    def selection_changed(self) -> None:
        """Show the selection again."""
