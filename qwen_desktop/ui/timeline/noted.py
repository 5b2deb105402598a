"""A column of messages in which references to footnotes are followed, and left again."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtWidgets import QWidget

from qwen_desktop.ui.timeline.message import MessageView
from qwen_desktop.ui.timeline.notes import NoteButton, focus_reference, note_buttons, reference
from qwen_desktop.ui.timeline.reasoning import ReasoningView
from qwen_desktop.ui.timeline.sought import SoughtColumn

_MOST_PORTIONS = 200  # of a long answer that are shown to find a note


class NotedColumn(SoughtColumn):
    """Goes from a reference to the note of that name in the same answer or reasoning."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shared.note_requested.connect(self._go_to_note)
        self._shared.note_left.connect(self._go_back)
        # The text and the place in it from which one went to a note, by message id and name.
        self._left: dict[tuple[str, str], int] = {}

    def _go_to_note(self, leaf: QWidget, label: str) -> None:
        view, root = self._around(leaf)
        if view is not None:
            leaves = list(view.leaves())
            number = next((n for n, one in enumerate(leaves) if one is leaf), 0)
            self._left[view.message.id, label] = number
            self._seek_note(view.message.id, root is not view, label, _MOST_PORTIONS)

    def _seek_note(self, message_id: str, thought: bool, label: str, portions: int) -> None:
        """Go there, once as much of the message is shown; portion by portion."""
        index = self._index.get(message_id)
        if index is None:
            return
        view = self.view_at(index)
        root: QWidget | None = view.findChild(ReasoningView) if thought else view
        found = note_buttons(root, label) if root is not None else []
        button = next((one for one in found if self._around(one)[1] is root), None)
        if button is not None:
            self.scroll_to(index, button.mapTo(view, QPoint(0, 0)).y())
            button.setFocus(Qt.FocusReason.OtherFocusReason)
        elif portions and (view.reasoning_end if thought else view.shown_end) is not None:
            if thought:
                view.show_more_reasoning()
            else:
                view.show_more()
            self._measured_anew(index, view)
            QTimer.singleShot(
                0, self, lambda: self._seek_note(message_id, thought, label, portions - 1)
            )

    def _go_back(self, button: NoteButton, label: str) -> None:
        view, root = self._around(button)
        if view is None or root is None:
            return
        leaves = list(view.leaves())
        number = self._left.get((view.message.id, label), -1)
        first = [leaves[number]] if 0 <= number < len(leaves) else []
        for leaf in first + leaves:
            span = reference(leaf, label) if self._around(leaf)[1] is root else None
            if span is not None:
                place = leaf.viewport().mapTo(view, QPoint(0, 0)).y()
                self.scroll_to(self._index[view.message.id], place)
                focus_reference(leaf, span)
                return

    def _around(self, widget: QWidget) -> tuple[MessageView | None, QWidget | None]:
        """The message of a widget, and its reasoning where it lies in that, else the message."""
        root: QWidget | None = None
        parent: QWidget | None = widget
        while parent is not None and not isinstance(parent, MessageView):
            if isinstance(parent, ReasoningView):
                root = parent
            parent = parent.parentWidget()
        return parent, root or parent
