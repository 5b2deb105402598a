"""What the next start goes on with: the window, the chat, the checkpoint, as they were left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot

from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.paths import Profile
from qwen_desktop.storage.state import SidebarCache, StateFile

if TYPE_CHECKING:
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.models import Models, ModelState
    from qwen_desktop.bridge.recents import Recents
    from qwen_desktop.chat.summary import Summary
    from qwen_desktop.chat.tree import Conversation
    from qwen_desktop.ui.main_window import MainWindow


class Remembered(QObject):
    """Reads it at once, and writes what changes on the files' thread.

    `state` is how things were left; `rows` the conversation list, to be shown at the first paint.
    """

    # Given by `follow()`.
    _chats: Chats
    _recents: Recents
    _window: MainWindow

    def __init__(self, profile: Profile, files: FileJobs, parent: QObject) -> None:
        super().__init__(parent)
        self._files = files
        self._state_file = StateFile(profile.state)
        self._sidebar_cache = SidebarCache(profile.sidebar_cache)
        self.state = self._state_file.load()

    def rows(self) -> tuple[Summary, ...]:
        """The conversation list as it was."""
        return tuple(self._sidebar_cache.load())

    def keep(self, **changes: object) -> None:
        """Remember other values of the state."""
        state = replace(self.state, **changes)  # type: ignore[arg-type]
        if state == self.state:
            return
        self.state = state
        self._files.submit("window state", lambda: self._state_file.save(state))

    def follow(self, window: MainWindow, chats: Chats, models: Models, recents: Recents) -> None:
        """Remember what becomes of these. To be called once."""
        self._window, self._chats, self._recents = window, chats, recents
        models.changed.connect(self._on_model)
        recents.changed.connect(self._on_recents)
        chats.opened.connect(self._on_opened)
        chats.list.top_changed.connect(self._on_summaries)

    @Slot(object)
    def _on_opened(self, conversation: Conversation) -> None:
        places = self._window.pane.places.all
        self.keep(conversation_id=conversation.id, places=places)

    @Slot(object)
    def _on_model(self, state: ModelState) -> None:
        if state.info is not None and not state.busy:
            self.keep(checkpoint=str(state.info.folder))

    @Slot()
    def _on_recents(self) -> None:
        self.keep(recents=self._recents.entries)

    @Slot(object)
    def _on_summaries(self, summaries: tuple[Summary, ...]) -> None:
        # The talk a start begins with was never opened; it has a row from its first message on.
        self.keep(conversation_id=self._chats.current.id)
        self._files.submit("conversation list", lambda: self._sidebar_cache.save(summaries))

    @Slot(str, str)
    def keep_export(self, folder: str, form: str) -> None:
        """Remember where was exported to, and how."""
        self.keep(export_folder=folder, export_format=form)

    @Slot(int, bool)
    def keep_serving(self, port: int, keyed: bool) -> None:
        """Remember how the local server was started."""
        self.keep(serving_port=port, serving_keyed=keyed)
