"""Searching in the window: from the field to the message that was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot

from qwen_desktop.bridge.chats import Chats
from qwen_desktop.bridge.search import Search
from qwen_desktop.chat.search import Hit

if TYPE_CHECKING:
    from qwen_desktop.ui.main_window import MainWindow


class Finding(QObject):
    """Goes to what was found and marks the words there, as long as they are looked for."""

    def __init__(self, window: MainWindow, chats: Chats, search: Search) -> None:
        super().__init__(window)
        self._window = window
        self._chats = chats
        sidebar = window.sidebar
        sidebar.results.search_by(search)
        sidebar.hit_requested.connect(self._go_to)
        sidebar.marks_changed.connect(self._mark)
        search.problem.connect(window.show_problem)

    def step(self, by: int) -> None:
        """Go to the next marked word of the conversation, else to the next hit; -1: back."""
        self._window.finish_building()
        if self._window.pane.find_step(by):
            return
        if not self._window.timeline.next_mark(by):
            self._window.sidebar.results.step(by)

    def end(self) -> None:
        """Look for nothing any more."""
        self._window.sidebar.search.clear()

    @Slot(object, object)
    def _go_to(self, hit: Hit, words: tuple[str, ...]) -> None:
        self._window.composer.flush_draft()
        self._mark(words)
        self._chats.open(hit.conversation_id, hit.message_id)

    @Slot(object)
    def _mark(self, words: tuple[str, ...]) -> None:
        self._window.finish_building()
        self._window.timeline.set_marks(words)
